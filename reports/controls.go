package reports

import (
	"fmt"
	"strings"

	"kqual/matrix"
)

// trust is what a reader must know of the host and the kernels before any
// verdict: one line per thing, the failed controls first. bad is how many of them are bad news.
func trust(r *Report) (lines []string, bad int) {
	c := r.ControlCheck
	for _, state := range []struct {
		failed bool
		what   string
	}{
		{c.Blind, "BLIND: a cell that must be affected is not, so this host may miss the race"},
		{c.Noisy, "NOISY: a cell that must be clean is affected, so this host may show a race that is none"},
	} {
		if state.failed {
			lines = append(lines, fmt.Sprintf("%s; %s on failed controls and became inconclusive", state.what, rests(c.Overruled)))
		}
	}
	lines = append(lines, c.Failed...)
	lines = append(lines, r.Unverified()...)
	for _, m := range c.Missing {
		lines = append(lines, "no answer from a control: "+m+"; nothing else shows what this host can see there")
	}
	bad = len(lines)
	if c.Passed > 0 {
		lines = append(lines, fmt.Sprintf("controls: %d of %s came out as they must", c.Passed, plural(c.Cells, "cell")))
	}
	return lines, bad
}

// Unverified has a line per kernel that nothing vouches for.
func (r *Report) Unverified() []string {
	var lines []string
	for _, k := range r.Kernels {
		if why := k.Provenance.Unverified(); why != "" {
			lines = append(lines, fmt.Sprintf("UNVERIFIED: nothing vouches for kernel %s, %s", k.Kernel, why))
		}
	}
	return lines
}

// origin is a kernel's source as a table shows it.
func origin(p matrix.Provenance) string {
	if p.Unverified() != "" {
		return p.Source + " (" + matrix.DetailUnverified + ")"
	}
	return p.Source
}

func rests(verdicts int) string {
	if verdicts == 1 {
		return "1 verdict rested"
	}
	return fmt.Sprintf("%d verdicts rested", verdicts)
}

func (t *terminal) trust(r *Report) {
	lines, bad := trust(r)
	for i, l := range lines {
		style := styleDim
		if i < bad {
			style = styleRed
		}
		t.paragraph(style, l)
	}
}

// paragraph prints filled text in one style.
func (t *terminal) paragraph(style, text string) {
	for l := range strings.Lines(Fill(Printable(text), "", t.Width)) {
		t.line(t.paint(style, strings.TrimSuffix(l, "\n")))
	}
}

func (m *markdown) trust(r *Report) {
	lines, bad := trust(r)
	for i, l := range lines {
		if i < bad {
			l = "**" + EscapeMarkdown(l) + "**"
		} else {
			l = EscapeMarkdown(l)
		}
		m.printf("\n> %s\n", l)
	}
}

// numbers is one row per cell that was measured: what its evidence is worth.
func (m *markdown) numbers(r *Report) error {
	head := []string{"kernel", "cell", "trials", "blocks", "groups", "contested", "decisive", "design effect", "sensitivity", "natural", "trials/s", "first stale", "decided in"}
	var rows [][]string
	for _, c := range r.Cells[:min(len(r.Cells), maxEvidence)] {
		n := c.Numbers
		if n == nil {
			continue
		}
		effect, sensitivity, natural := numberTexts(*n)
		rows = append(rows, []string{
			EscapeMarkdown(c.Kernel), EscapeMarkdown(c.Filesystem + "/" + c.Scenario + "/" + c.Watch),
			fmt.Sprint(n.Trials), fmt.Sprint(n.Blocks), fmt.Sprint(n.Groups),
			fmt.Sprintf("%.1f %%", 100*n.Contested), fmt.Sprintf("%.1f %%", 100*n.Decisive),
			effect, sensitivity, natural, fmt.Sprintf("%.0f", n.PerSecond), took(n.FirstStale), took(n.Decision),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	m.printf("\n## Numbers\n\nContested and decisive are shares of the trials; sensitivity is the rate of stale opens in decisive trials "+
		"on this run's known-bad kernel (empty where that measured none), natural the rate of an unmodified application, "+
		"both with %s intervals.\n\n", share(r.Sampling.Confidence))
	m.printf("<details><summary>%s</summary>\n\n", plural(len(rows), "cell"))
	if err := m.table(head, rows); err != nil {
		return err
	}
	m.printf("\n</details>\n")
	m.more(len(r.Cells))
	return nil
}

// numberTexts are the numbers that not every cell has; "" where there is none.
func numberTexts(n matrix.Numbers) (effect, sensitivity, natural string) {
	if n.DesignEffect > 0 {
		effect = fmt.Sprintf("%.2f", n.DesignEffect)
	}
	if n.Sensitivity != nil {
		sensitivity = rate(n.Sensitivity.Rate)
	}
	if n.Natural != nil {
		natural = rate(*n.Natural)
	}
	return effect, sensitivity, natural
}

// rate is 1826/1828 [99.6 %, 100 %].
func rate(r matrix.Rate) string {
	return fmt.Sprintf("%d/%d %s", r.Count, r.Of, matrix.IntervalText(r.Lo, r.Hi))
}
