package reports

import (
	"slices"
	"strconv"
	"strings"

	"kqual/matrix"
)

// grid is a report arranged for printing: one block per filesystem and
// scenario, kernels down, watches across, and the footnotes that the entries
// point to. Printers decide about colour, escaping and width.
type grid struct {
	blocks    []block
	footnotes []string // number n is footnotes[n-1]
	seen      seen
}

type block struct {
	filesystem, scenario string
	columns              []column
	rows                 []row
}

type column struct {
	watch   string
	control bool
}

type row struct {
	kernel, release string
	entries         []entry // one per column
}

// entry is one cell of a table.
type entry struct {
	kind    matrix.VerdictKind // "" where there is no verdict
	text    string             // the verdict without its long reason; "" where nothing was planned
	notes   []int              // footnote numbers
	unmet   bool               // not what the matrix expects
	missing bool               // planned, and nothing is known of it
	cell    int                // its number in Report.Cells, from 1; 0 where it has none
}

// seen says which explanations a legend needs.
type seen struct {
	kinds                   map[matrix.VerdictKind]bool
	unmet, missing, control bool
}

func (r *Report) arrange() *grid {
	g := &grid{seen: seen{kinds: map[matrix.VerdictKind]bool{}}}
	cells := map[string]int{}
	for i, c := range r.Cells {
		cells[c.ID()] = i
	}
	missing := map[string]bool{}
	for _, id := range r.Missing {
		missing[id] = true
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			g.block(c.Cell)
		}
	}
	for i := range g.blocks {
		b := &g.blocks[i]
		b.columns = r.columns(*b)
		for _, k := range r.Kernels {
			rw := row{kernel: k.Kernel, release: r.label(k)}
			planned := false
			for _, col := range b.columns {
				id := matrix.Cell{
					Kernel: k.Kernel, Filesystem: b.filesystem, Scenario: b.scenario, Watch: matrix.Watch{Name: col.watch},
				}.ID()
				var e entry
				if i, ok := cells[id]; ok {
					e = g.entry(r.Cells[i])
					e.cell = i + 1
				} else if missing[id] {
					e = entry{text: "–", missing: true}
					g.seen.missing = true
				}
				planned = planned || e.text != ""
				rw.entries = append(rw.entries, e)
			}
			if planned {
				b.rows = append(b.rows, rw)
			}
		}
		for _, c := range b.columns {
			g.seen.control = g.seen.control || c.control
		}
	}
	return g
}

// block makes sure that the cell's place has a block.
func (g *grid) block(c matrix.Cell) {
	if !slices.ContainsFunc(g.blocks, func(b block) bool { return b.filesystem == c.Filesystem && b.scenario == c.Scenario }) {
		g.blocks = append(g.blocks, block{filesystem: c.Filesystem, scenario: c.Scenario})
	}
}

// columns are the watches with a cell in the block.
func (r *Report) columns(b block) []column {
	var out []column
	for _, w := range r.Watches {
		some, control := false, true
		for _, k := range r.Kernels {
			for _, c := range k.Cells {
				if c.Cell.Watch.Name == w.Name && c.Cell.Filesystem == b.filesystem && c.Cell.Scenario == b.scenario {
					some = true
					control = control && c.Cell.Watch.Control
				}
			}
		}
		if some {
			out = append(out, column{watch: w.Name, control: control})
		}
	}
	return out
}

// release is what the kernel calls itself, or the version it was got as.
func release(k matrix.KernelRun) string {
	for _, b := range slices.Backward(k.Boots) {
		if b.Release != "" {
			return b.Release
		}
	}
	return k.Provenance.Version
}

func (g *grid) entry(c Cell) entry {
	v := c.Verdict
	e := entry{kind: v.Kind, text: c.Text, unmet: c.Gate == matrix.GateUnmet}
	g.seen.kinds[v.Kind] = true
	g.seen.unmet = g.seen.unmet || e.unmet
	switch v.Kind {
	case matrix.VerdictInconclusive:
		e.text = "?"
	case matrix.VerdictError:
		e.text = "error"
	}
	if v.Reason != "" {
		e.notes = append(e.notes, g.footnote(reason(c)))
	}
	for _, f := range v.Footnotes {
		e.notes = append(e.notes, g.footnote(explain(f)))
	}
	slices.Sort(e.notes)
	e.notes = slices.Compact(e.notes)
	return e
}

// reason is the verdict's reason with where to look and what to do.
func reason(c Cell) string {
	text := c.Verdict.Reason
	if f := c.Failure; f != nil {
		if f.Side != "" {
			text = string(f.Side) + ": " + text
		}
		if f.Hint != "" {
			text += "; " + f.Hint
		}
		if f.Log != "" {
			text += " (see " + f.Log + ")"
		}
	}
	return text
}

// explain says what a footnote of a verdict means.
func explain(footnote string) string {
	switch footnote {
	case matrix.FootnoteEarly:
		return footnote + ": the kernel tells of the removal before it is done, yet nothing stale could be opened"
	case matrix.FootnoteLate:
		return footnote + ": the order witness saw the order of a fixed kernel, yet the dead file was opened"
	case matrix.FootnoteNatural:
		return footnote + ": of all trials, without extra groups: what an unmodified application meets"
	}
	return footnote
}

// footnote returns the number of a footnote, the same for the same text.
func (g *grid) footnote(text string) int {
	i := slices.Index(g.footnotes, text)
	if i < 0 {
		i = len(g.footnotes)
		g.footnotes = append(g.footnotes, text)
	}
	return i + 1
}

// superscript is how an entry points to footnotes: ¹⁴ or ¹,²
func superscript(notes []int) string {
	var parts []string
	for _, n := range notes {
		var b strings.Builder
		for _, d := range strconv.Itoa(n) {
			b.WriteRune([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[d-'0'])
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, ",")
}

// legend explains what the tables show, one term and its meaning per line.
func (g *grid) legend(s matrix.Sampling) [][2]string {
	confidence := share(s.Confidence)
	var out [][2]string
	for _, l := range []struct {
		show          bool
		term, meaning string
	}{
		{g.seen.kinds[matrix.VerdictAffected], "STALE n/m [lo, hi]", "n of m decisive trials opened the deleted file unnoticed; " + confidence + " interval of the rate, by blocks"},
		{g.seen.kinds[matrix.VerdictHolds], "holds 0/n", "0 of n went unnoticed, while the plain watch beside it is affected"},
		{g.seen.kinds[matrix.VerdictClean], "clean <r (0/n)", "0 of n decisive trials were stale; a rate of r is ruled out at " + confidence},
		{g.seen.kinds[matrix.VerdictNatural], "natural 0/n", "0 of n trials were stale at the rate that an unmodified application meets; no verdict, and no expectation fails by it"},
		{g.seen.kinds[matrix.VerdictUnsupported], "n/a ERRNO", "the kernel refused the watch or lacks the filesystem"},
		{g.seen.kinds[matrix.VerdictInconclusive], "?", "inconclusive: too little evidence, see the note"},
		{g.seen.kinds[matrix.VerdictError], "error", "no answer, see the note"},
		{g.seen.missing, "–", "planned, not run"},
		{g.seen.control, controlMark, "a plain watch that kqual added to compare with"},
		{g.seen.unmet, unmetMark, "not what the matrix expects"},
	} {
		if l.show {
			out = append(out, [2]string{l.term, l.meaning})
		}
	}
	return out
}

// unmetMark and controlMark stand beside what they are about.
const (
	unmetMark   = "✗"
	controlMark = "(control)"
)

// share shows a number of [0, 1] that somebody wrote down: 95 %.
func share(x float64) string {
	return strconv.FormatFloat(x*100, 'g', 6, 64) + " %"
}

// disagreements are the lines about cells that did not meet the expectation.
func (r *Report) disagreements() []string { return r.gateTexts(matrix.GateUnmet) }

// waived are the lines about cells that a waiver covers.
func (r *Report) waived() []string { return r.gateTexts(matrix.GateWaived) }

func (r *Report) gateTexts(state matrix.GateState) []string {
	var out []string
	for _, c := range r.Cells {
		if c.Gate == state {
			out = append(out, c.ID()+": "+c.GateText)
		}
	}
	return out
}
