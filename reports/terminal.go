package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "terminal", Doc: "tables for a terminal, in colour where it can show them", Render: renderTerminal})
}

// SGR parameters of ECMA-48.
const (
	styleBold   = "1"
	styleDim    = "2"
	styleRed    = "1;31"
	styleGreen  = "32"
	styleYellow = "33"
)

var kindStyles = map[matrix.VerdictKind]string{
	matrix.VerdictAffected:     styleRed,
	matrix.VerdictHolds:        styleGreen,
	matrix.VerdictClean:        styleGreen,
	matrix.VerdictUnsupported:  styleDim,
	matrix.VerdictNatural:      styleDim,
	matrix.VerdictInconclusive: styleYellow,
	matrix.VerdictError:        styleYellow,
}

// terminal prints a report.
type terminal struct {
	bytes.Buffer
	Options
}

func renderTerminal(w io.Writer, r *Report, o Options) error {
	switch {
	case o.Wide:
		o.Width = unbounded
	case o.Width <= 0:
		o.Width = DefaultWidth
	}
	t := &terminal{Options: o}
	g := r.arrange()
	name := Printable(r.Matrix.Name)
	t.WriteString(strings.Replace(Fill(name+headline(r), "", o.Width), name, t.paint(styleBold, name), 1))
	t.trust(r)
	for _, b := range g.blocks {
		t.line("")
		t.line(t.paint(styleBold, Printable(b.filesystem)+"/"+Printable(b.scenario)))
		if err := t.block(b); err != nil {
			return err
		}
	}
	t.terms(g.legend(r.Sampling))
	t.notes(g.footnotes)
	if err := t.costs(r); err != nil {
		return err
	}
	t.list("Findings", findingTexts(r))
	t.list("Not as expected", r.disagreements())
	t.list("Waived", r.waived())
	t.line("")
	t.WriteString(Fill(t.gate(r), "", o.Width))
	t.WriteString(Fill(timingLine(r.Timing), "", o.Width))
	_, err := w.Write(t.Bytes())
	return err
}

func (t *terminal) line(s string) { t.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *terminal) paint(style, s string) string {
	if !t.Color || style == "" || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// headline says what was run with what: ": 6 kernels, 60 cells, tcg, QEMU 7.2.22".
func headline(r *Report) string {
	parts := []string{
		plural(len(r.Kernels), "kernel"), plural(len(r.Cells)+len(r.Missing), "cell"),
	}
	if several := r.architectures(); several != "" {
		parts = append(parts, several)
	}
	if len(r.Accels) > 0 {
		parts = append(parts, Printable(strings.Join(r.Accels, " and ")))
	}
	if len(r.QEMU) > 0 {
		parts = append(parts, "QEMU "+Printable(strings.Join(r.QEMU, " and ")))
	}
	return ": " + strings.Join(parts, ", ")
}

func (t *terminal) block(b block) error {
	if t.Wide {
		return t.wideBlock(b)
	}
	columns := make([][]textCell, 1+len(b.columns))
	columns[0] = []textCell{{{units: []unit{{"kernel"}}, style: styleBold}}}
	for i, c := range b.columns {
		head := textCell{{units: nameUnits(Printable(c.watch)), style: styleBold}}
		if c.control {
			head = append(head, paragraph{units: []unit{{controlMark}}, style: styleDim})
		}
		columns[i+1] = []textCell{head}
	}
	for _, rw := range b.rows {
		name := textCell{{units: nameUnits(Printable(rw.kernel))}}
		if rw.release != "" && rw.release != rw.kernel {
			name = append(name, paragraph{units: nameUnits(Printable(rw.release)), style: styleDim})
		}
		columns[0] = append(columns[0], name)
		for i, e := range rw.entries {
			columns[i+1] = append(columns[i+1], e.textCell())
		}
	}
	return t.fitted(columns)
}

// fitted prints columns as ruled tables, as many as the width asks for.
func (t *terminal) fitted(columns [][]textCell) error {
	tables, widths := fit(columns, t.Width)
	for i, numbers := range tables {
		if i > 0 {
			t.line("")
		}
		if err := t.table(columns, numbers, widths[i], tw.On); err != nil {
			return err
		}
	}
	return nil
}

// wideBlock prints a block with a line per kernel and every name whole.
func (t *terminal) wideBlock(b block) error {
	cell := func(text, style string) textCell { return textCell{{units: []unit{{text}}, style: style}} }
	columns := [][]textCell{{cell("kernel", styleBold)}, {cell("release", styleBold)}}
	for _, c := range b.columns {
		head := Printable(c.watch)
		if c.control {
			head += " " + controlMark
		}
		columns = append(columns, []textCell{cell(head, styleBold)})
	}
	for _, rw := range b.rows {
		columns[0] = append(columns[0], cell(Printable(rw.kernel), ""))
		columns[1] = append(columns[1], cell(Printable(rw.release), styleDim))
		for i, e := range rw.entries {
			columns[i+2] = append(columns[i+2], e.textCell())
		}
	}
	numbers, widths := make([]int, len(columns)), make([]int, len(columns))
	for i := range columns {
		numbers[i], widths[i] = i, unbounded
	}
	return t.table(columns, numbers, widths, tw.Off)
}

func (e entry) textCell() textCell {
	text := Printable(e.text)
	if e.unmet {
		text = unmetMark + " " + text
	}
	units := verdictUnits(text)
	if notes := superscript(e.notes); notes != "" {
		last := units[len(units)-1]
		last[len(last)-1] += notes
	}
	style := kindStyles[e.kind]
	if e.missing {
		style = styleDim
	}
	return textCell{{units: units, sep: " ", style: style}}
}

// table prints some of the columns; all cells are wrapped here, so that
// tablewriter has nothing to decide.
func (t *terminal) table(columns [][]textCell, numbers, widths []int, ruled tw.State) error {
	cellsOf := func(rowNumber int) []string {
		var out []string
		for i, n := range numbers {
			var lines []string
			for _, p := range columns[n][rowNumber] {
				for _, l := range p.lines(widths[i]) {
					lines = append(lines, t.paint(p.style, l))
				}
			}
			out = append(out, strings.Join(lines, "\n"))
		}
		return out
	}
	section := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: strings.Repeat(" ", columnGap), Overwrite: true}},
	}
	var out bytes.Buffer
	table := tablewriter.NewTable(
		&out,
		tablewriter.WithConfig(tablewriter.Config{
			Header: section, Row: section,
			Behavior: tw.Behavior{TrimSpace: tw.Off, TrimLine: tw.Off},
		}),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{
				Separators: tw.Separators{BetweenRows: ruled, BetweenColumns: tw.Off, ShowHeader: tw.On},
				Lines:      tw.Lines{ShowTop: tw.Off, ShowBottom: tw.Off, ShowHeaderLine: tw.On},
			},
		})),
	)
	table.Header(cellsOf(0))
	for i := 1; i < len(columns[0]); i++ {
		if err := table.Append(cellsOf(i)); err != nil {
			return fmt.Errorf("arrange the table: %w", err)
		}
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("render the table: %w", err)
	}
	for l := range strings.Lines(out.String()) {
		// tablewriter ends a coloured cell once more, after its padding.
		l = strings.ReplaceAll(strings.TrimSuffix(l, "\n"), " \x1b[0m", " ")
		if strings.Trim(l, rule) == "" { // it goes on below the last column's gap
			l = strings.TrimSuffix(l, strings.Repeat(rule, columnGap))
		}
		t.line(l)
	}
	return nil
}

// rule is what lines between rows are made of; see tw.StyleLight.
const rule = "─"

func (t *terminal) terms(legend [][2]string) {
	if len(legend) == 0 {
		return
	}
	most := 0
	for _, l := range legend {
		most = max(most, width(l[0]))
	}
	t.line("")
	for _, l := range legend {
		t.WriteString(Fill(l[1], l[0]+strings.Repeat(" ", most-width(l[0])+columnGap), t.Width))
	}
}

func (t *terminal) notes(notes []string) {
	if len(notes) > 0 {
		t.line("")
	}
	for i, n := range notes {
		t.WriteString(Fill(Printable(n), superscript([]int{i + 1})+" ", t.Width))
	}
}

func (t *terminal) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	t.line("")
	t.line(t.paint(styleBold, title))
	for n, i := range items {
		if n == maxListed && len(items) > maxListed+1 {
			t.line(fmt.Sprintf("- and %d more; the markdown and json formats have them all", len(items)-n))
			break
		}
		t.WriteString(Fill(Printable(i), "- ", t.Width))
	}
}

// maxListed bounds a list on a terminal, in items.
const maxListed = 30

func findingTexts(r *Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Text)
	}
	return out
}

// gate is the line that says what the run amounts to, and the exit code.
func (t *terminal) gate(r *Report) string {
	word := gateWord(r)
	style := styleYellow
	switch word {
	case "PASS":
		style = "1;" + styleGreen
	case "FAIL":
		style = styleRed
	}
	return fmt.Sprintf("%s %s (exit %d)", t.paint(style, word+":"), Printable(r.shortWhy()), r.Gate.Exit)
}

// shortWhy is the gate's reason without the first cell: the lists above name
// them all.
func (r *Report) shortWhy() string {
	state := matrix.GateNoAnswer
	if r.Gate.Unmet > 0 {
		state = matrix.GateUnmet
	}
	for _, c := range r.Cells {
		if c.Gate == state {
			return strings.TrimSuffix(r.Gate.Why, ", first "+c.ID()+": "+c.GateText)
		}
	}
	return r.Gate.Why
}

// gateWord is the gate in one word.
func gateWord(r *Report) string {
	switch {
	case r.State == StateInterrupted:
		return "INTERRUPTED"
	case r.State != StateDone:
		return "UNFINISHED"
	case r.Gate.Exit == matrix.ExitMet:
		return "PASS"
	case r.Gate.Exit == matrix.ExitUnmet:
		return "FAIL"
	}
	return "NO ANSWER"
}

// timingLine says where the time went: boot, cells, rest.
func timingLine(t Timing) string {
	s := fmt.Sprintf("Time: boot %s, cells %s (set-up %s, trials %s), ", seconds(t.Boot), seconds(t.Cells), seconds(t.Setup), seconds(t.Trial))
	if t.Rest >= 0 {
		s += "rest " + seconds(t.Rest)
	} else {
		s += "side by side " + seconds(-t.Rest)
	}
	s += ", together " + seconds(t.Wall)
	if t.Ratio > 0 {
		s += fmt.Sprintf(" = %.2f × (boot + cells)", t.Ratio)
	}
	if t.Costs > 0 {
		s += "; costs of unlink " + seconds(t.Costs)
	}
	if t.Fetch > 0 {
		s += "; getting kernels " + seconds(t.Fetch)
	}
	return s
}
