package reports

import (
	"fmt"
	"io"
	"slices"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "summary", Doc: "one screen of Markdown, for GITHUB_STEP_SUMMARY and merge requests", Render: renderSummary})
}

// maxSummaryRows and maxSummaryLines keep a summary on one screen.
const (
	maxSummaryRows  = 20
	maxSummaryLines = 5
)

// renderSummary prints the gate, the advice, and one line per kernel: the worst
// that its watches say over all places.
func renderSummary(w io.Writer, r *Report, _ Options) error {
	m := &markdown{}
	m.printf("### %s: %s\n\n", EscapeMarkdown(r.Matrix.Name), gateWord(r))
	m.printf("%s (exit %d)\n", EscapeMarkdown(r.shortWhy()), r.Gate.Exit)
	m.trust(r)
	m.printf("\n")
	lines := 0
	for _, kind := range []matrix.FindingKind{matrix.FindingAdvice, matrix.FindingContradiction, matrix.FindingBoundary, matrix.FindingNoAnswer} {
		for _, f := range r.Findings {
			if f.Kind == kind && lines < maxSummaryLines {
				m.printf("- %s\n", EscapeMarkdown(f.Text))
				lines++
			}
		}
	}
	if lines > 0 {
		m.printf("\n")
	}
	var watches []string
	for _, wt := range r.Watches {
		if !wt.Control {
			watches = append(watches, wt.Name)
		}
	}
	worst := map[[2]string]matrix.VerdictKind{}
	unmet, refused := map[[2]string]bool{}, map[[2]string]bool{}
	for _, c := range r.Cells {
		at := [2]string{c.Kernel, c.Watch}
		if rank(c.Verdict.Kind) > rank(worst[at]) {
			worst[at] = c.Verdict.Kind
		}
		refused[at] = refused[at] || c.Verdict.Kind == matrix.VerdictUnsupported
		unmet[at] = unmet[at] || c.Gate == matrix.GateUnmet
	}
	head := []string{"kernel"}
	for _, name := range watches {
		head = append(head, EscapeMarkdown(name))
	}
	var rows [][]string
	left := 0
	for _, k := range r.Kernels {
		row := []string{EscapeMarkdown(k.Kernel)}
		odd := false
		for _, name := range watches {
			at := [2]string{k.Kernel, name}
			text := summaryWords[worst[at]]
			if refused[at] && worst[at] != matrix.VerdictUnsupported {
				text += ", n/a in places"
			}
			if unmet[at] {
				text, odd = unmetMark+" "+text, true
			}
			row = append(row, text)
		}
		// What is odd comes first where not all fits.
		switch {
		case len(rows) < maxSummaryRows:
			rows = append(rows, row)
		case odd:
			i := slices.IndexFunc(rows, func(o []string) bool { return !slices.ContainsFunc(o, isUnmet) })
			if i >= 0 {
				rows = append(slices.Delete(rows, i, i+1), row)
			}
			left++
		default:
			left++
		}
	}
	if err := m.table(head, rows); err != nil {
		return err
	}
	if left > 0 {
		m.printf("\nand %s more; the report has them all\n", plural(left, "kernel"))
	}
	if len(r.Missing) > 0 {
		m.printf("\n%s planned and not run\n", plural(len(r.Missing), "cell"))
	}
	m.printf("\n%s\n", EscapeMarkdown(fmt.Sprintf("The worst over all filesystems and scenarios. %s", timingLine(r.Timing))))
	_, err := w.Write(m.Bytes())
	return err
}

func isUnmet(s string) bool { return len(s) >= len(unmetMark) && s[:len(unmetMark)] == unmetMark }

// rank orders verdicts by how much they need a reader's eye.
func rank(k matrix.VerdictKind) int {
	return slices.Index([]matrix.VerdictKind{
		matrix.VerdictUnsupported, matrix.VerdictNatural, matrix.VerdictClean, matrix.VerdictHolds, matrix.VerdictInconclusive,
		matrix.VerdictError, matrix.VerdictAffected,
	}, k)
}

var summaryWords = map[matrix.VerdictKind]string{
	"":                         "",
	matrix.VerdictAffected:     "🔴 **STALE**",
	matrix.VerdictHolds:        "🟢 holds",
	matrix.VerdictClean:        "🟢 clean",
	matrix.VerdictNatural:      "⚪ natural 0",
	matrix.VerdictUnsupported:  "⚪ n/a",
	matrix.VerdictInconclusive: "🟡 ?",
	matrix.VerdictError:        "🟡 error",
}
