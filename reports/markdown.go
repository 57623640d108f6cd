package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "markdown", Doc: "GitHub-flavoured Markdown, with where every kernel came from", Render: renderMarkdown})
}

type markdown struct {
	bytes.Buffer
	Options
}

func renderMarkdown(w io.Writer, r *Report, o Options) error {
	m := &markdown{Options: o}
	g := r.arrange()
	m.printf("# %s\n\n", EscapeMarkdown(r.Matrix.Name))
	m.printf("**%s:** %s (exit %d)\n", gateWord(r), EscapeMarkdown(r.shortWhy()), r.Gate.Exit)
	m.trust(r)
	m.list("Findings", findingTexts(r)) // what to do comes first
	for _, b := range g.blocks {
		m.printf("\n## %s/%s\n\n", EscapeMarkdown(b.filesystem), EscapeMarkdown(b.scenario))
		if err := m.block(b); err != nil {
			return err
		}
	}
	m.legend(g.legend(r.Sampling))
	for i, n := range g.footnotes {
		if i == 0 {
			m.printf("\n## Notes\n\n")
		}
		m.printf("- %s %s\n", superscript([]int{i + 1}), EscapeMarkdown(n))
	}
	m.gate("Not as expected", r, matrix.GateUnmet)
	m.gate("Waived", r, matrix.GateWaived)
	if err := m.costs(r); err != nil {
		return err
	}
	if err := m.numbers(r); err != nil {
		return err
	}
	if err := m.kernels(r); err != nil {
		return err
	}
	m.howMeasured(r)
	m.evidence(r)
	_, err := w.Write(m.Bytes())
	return err
}

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(m, format, args...) }

func (m *markdown) block(b block) error {
	head := []string{"kernel", "release"}
	for _, c := range b.columns {
		h := EscapeMarkdown(c.watch)
		if c.control {
			h += " (control)"
		}
		head = append(head, h)
	}
	var rows [][]string
	for _, rw := range b.rows {
		cells := []string{EscapeMarkdown(rw.kernel), EscapeMarkdown(rw.release)}
		for _, e := range rw.entries {
			cells = append(cells, mdEntry(e))
		}
		rows = append(rows, cells)
	}
	return m.table(head, rows)
}

// mdEntry is a verdict whose first word links to its evidence, set in bold where
// it is bad news.
func mdEntry(e entry) string {
	word, rest, more := strings.Cut(mdTyped(Printable(e.text)), " ")
	text := mdCell(word, e.cell)
	if e.kind == matrix.VerdictAffected {
		text = "**" + text + "**"
	}
	if more {
		text += " " + rest
	}
	if e.unmet {
		text = unmetMark + " " + text
	}
	return text + superscript(e.notes)
}

func (m *markdown) table(head []string, rows [][]string) error {
	section := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.PaddingDefault},
	}
	table := tablewriter.NewTable(
		&m.Buffer,
		tablewriter.WithConfig(tablewriter.Config{Header: section, Row: section}),
		tablewriter.WithRenderer(renderer.NewMarkdown()),
	)
	table.Header(head)
	if err := table.Bulk(rows); err != nil {
		return fmt.Errorf("arrange the table: %w", err)
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("render the table: %w", err)
	}
	return nil
}

func (m *markdown) legend(legend [][2]string) {
	for i, l := range legend {
		if i == 0 {
			m.printf("\n## Legend\n\n")
		}
		m.printf("- **%s**: %s\n", mdTyped(l[0]), mdTyped(l[1]))
	}
}

func (m *markdown) list(title string, items []string) {
	for i, item := range items {
		if i == 0 {
			m.printf("\n## %s\n\n", title)
		}
		m.printf("- %s\n", EscapeMarkdown(item))
	}
}

// shortHash is how much of a sha256 a table shows; the JSON has all of it.
const shortHash = 12 // hex digits

func (m *markdown) kernels(r *Report) error {
	if len(r.Kernels) == 0 {
		return nil
	}
	m.printf("\n## Kernels\n\n")
	head := []string{"kernel", "source", "version", "patches", "by its version", "observed", "sha256 of the image", "machine", "accel", "boot", "cells"}
	facts := map[string]matrix.KernelFact{}
	for _, f := range r.Facts {
		facts[f.Kernel] = f
	}
	var rows [][]string
	for _, k := range r.Kernels {
		p, f := k.Provenance, facts[k.Kernel]
		observed := string(f.Observed)
		if f.Contradicts {
			observed = unmetMark + " " + observed
		}
		var accels []string
		var boot, cells time.Duration
		for _, b := range k.Boots {
			accels = insert(accels, b.Accel)
			boot, cells = b.FirstRecord, b.Cells
		}
		rows = append(rows, []string{
			EscapeMarkdown(k.Kernel), EscapeMarkdown(origin(p)), EscapeMarkdown(p.Version), EscapeMarkdown(p.Details[matrix.DetailPatches]), EscapeMarkdown(promised(f)), observed,
			EscapeMarkdown(p.SHA256[:min(shortHash, len(p.SHA256))]),
			fmt.Sprintf("%d vCPUs, %d MiB", k.Machine.VCPUs, k.Machine.Memory>>20),
			EscapeMarkdown(strings.Join(accels, ", ")), took(boot), took(cells),
		})
	}
	return m.table(head, rows)
}

func took(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return seconds(d)
}

// maxEvidence bounds the cells whose evidence a document carries; GitHub shows
// no more than some hundred kilobytes.
const maxEvidence = 400

// mdCell is text that links to the evidence of a cell by its number, where the
// document has it. Where the link leads stands at the end of the document, which
// keeps tables readable as plain text.
func mdCell(text string, cell int) string {
	if text == "" || cell < 1 || cell > maxEvidence {
		return text
	}
	return fmt.Sprintf("[%s][%d]", text, cell)
}

// mdAnchor is what a link to a cell leads to. GitHub puts user-content- before
// every name; its own script then finds #cell-1, but only #user-content-cell-1
// opens the folded block around it. GitLab keeps names of <a> as they are and
// takes away every id. So there are two names, and links lead to the second,
// which exists everywhere.
func mdAnchor(cell int) string {
	return fmt.Sprintf(`<a name="cell-%d"></a><a name="user-content-cell-%d"></a>`, cell, cell)
}

// references says where the links of mdCell lead.
func (m *markdown) references(cells int) {
	m.printf("\n")
	for i := range min(cells, maxEvidence) {
		m.printf("[%d]: #user-content-cell-%d\n", i+1, i+1)
	}
}

// gate lists the cells that came out of the gate so.
func (m *markdown) gate(title string, r *Report, state matrix.GateState) {
	first := true
	for i, c := range r.Cells {
		if c.Gate != state {
			continue
		}
		if first {
			m.printf("\n## %s\n\n", title)
			first = false
		}
		m.printf("- %s: %s\n", mdCell(EscapeMarkdown(c.ID()), i+1), EscapeMarkdown(c.GateText))
	}
}

// evidence has a folded block per kernel and an anchor per cell.
func (m *markdown) evidence(r *Report) {
	if len(r.Cells) == 0 {
		return
	}
	m.printf("\n## Evidence\n")
	kernel := ""
	cells := r.evidence()
	logs := logs(cells)
	for i, e := range cells {
		if i == maxEvidence {
			break
		}
		if e.Kernel != kernel {
			if kernel != "" {
				m.printf("\n</details>\n")
			}
			kernel = e.Kernel
			m.printf("\n<details><summary>%s</summary>\n\n", mdTyped(Printable(kernel)))
			m.provenance(e.kernel.Provenance)
			var console []string
			for _, log := range logs[kernel] {
				console = append(console, m.log(log))
			}
			if len(console) > 0 {
				m.printf("Console: %s\n\n", strings.Join(console, ", "))
			}
		}
		n := e.counts()
		m.printf("- %s%s/%s %s: %s", mdAnchor(i+1), EscapeMarkdown(e.Filesystem), EscapeMarkdown(e.Scenario), EscapeMarkdown(e.Watch), EscapeMarkdown(e.Text))
		if n.Trials > 0 {
			m.printf("; %d trials, %d contested, %d decisive, %d stale, %d recognised, %d groups, %s", n.Trials, n.Contested, n.Decisive, n.Stale, n.Recognised, e.groups(), seconds(e.took()))
		}
		if o := e.order(); o != "" {
			m.printf("; order %s", EscapeMarkdown(o))
		}
		if log := e.log(); len(logs[kernel]) > 1 && log != "" {
			m.printf("; console %s", m.log(log))
		}
		m.printf("; again: <code>%s</code>\n", EscapeMarkdown(r.repeat(e.Cell)))
	}
	m.printf("\n</details>\n")
	m.more(len(r.Cells))
	m.references(len(r.Cells))
}

// more says that a list of cells has no more than the first.
func (m *markdown) more(cells int) {
	if n := cells - maxEvidence; n > 0 {
		m.printf("\nand %s more; the html and csv formats have them all\n", plural(n, "cell"))
	}
}

// log is the path of a log, with a link where there is something to link to.
func (m *markdown) log(path string) string {
	if url := m.link(path); url != "" {
		return fmt.Sprintf("[%s](<%s>)", EscapeMarkdown(path), mdTyped(url))
	}
	return EscapeMarkdown(path)
}

func (m *markdown) howMeasured(r *Report) {
	m.printf("\n## How it was measured\n\n")
	for _, item := range r.measured() {
		m.printf("- %s: %s\n", item[0], EscapeMarkdown(item[1]))
	}
	m.printf("- %s\n", EscapeMarkdown(timingLine(r.Timing)))
}

// measured says how a run was measured, a term and its text each.
func (r *Report) measured() [][2]string {
	pressure := fmt.Sprintf("%d extra groups", r.Sampling.Pressure)
	if r.Sampling.Pressure == matrix.PressureAuto {
		pressure = "as many extra groups as it takes"
	}
	out := [][2]string{
		{"Sampling", fmt.Sprintf(
			"detection limit %s at %s, at most %s of trials for a cell, %s (pressure)",
			share(r.Sampling.DetectionLimit), share(r.Sampling.Confidence), seconds(r.Sampling.MaxTime), pressure,
		)},
		{"Intervals", "exact (Clopper–Pearson) for as many independent trials as the blocks are worth (Korn–Graubard); a zero's bound allows for blocks that differ as much as draws from an exponential distribution"},
		{"Matrix", fmt.Sprintf("%s, sha256 %s", r.Matrix.Path, r.Matrix.SHA256[:min(shortHash, len(r.Matrix.SHA256))])},
		{"Host", fmt.Sprintf("Linux %s, %s, %s", r.Host.Kernel, plural(r.Host.CPUs, "CPU"), r.Host.CPUModel)},
		{"Machines", fmt.Sprintf("%s, QEMU %s, %s", r.architectures(), strings.Join(r.QEMU, " and "), strings.Join(r.Accels, " and "))},
		{"Tool", r.Tool.Name + " " + r.Tool.Version},
		{"When", r.Started.UTC().Format("2006-01-02 15:04:05 MST")},
	}
	for i := range out {
		out[i][1] = Printable(strings.Trim(out[i][1], " ,"))
	}
	return out
}

// EscapeMarkdown makes text that came from elsewhere show as it is in GitHub-flavoured
// Markdown, inside tables too.
func EscapeMarkdown(s string) string {
	runes := []rune(Printable(s))
	letter := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	var b strings.Builder
	for i, r := range runes {
		switch {
		case r == '_' && letter(i-1) && letter(i+1): // IN_DELETE is no emphasis
		case strings.ContainsRune("\\`*_[]|~$!#@", r):
			b.WriteByte('\\')
		case r == ':' && i+1 < len(runes) && runes[i+1] == '/', r == '.' && i >= 3 && strings.EqualFold(string(runes[i-3:i]), "www"):
			b.WriteByte('\\') // no autolink
		}
		b.WriteRune(r)
	}
	return mdTyped(b.String())
}

// mdTyped keeps kqual's own words from being read as HTML.
func mdTyped(s string) string { return mdEntities.Replace(s) }

var mdEntities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
