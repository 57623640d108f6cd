package runner

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kqual/matrix"
)

// tally counts what became of the faults of a table.
type tally struct {
	order []string // of the classes
	rows  map[string]*tallyRow
	left  int // machines and files behind the run
}

// tallyRow is one class.
type tallyRow struct {
	means    string
	told     string         // the first failure or mark of it
	injected map[string]int // by phase
	expected int            // of injected
	lost     int            // cells that must have a verdict and have none
	wrong    int            // verdicts that are not the right one
}

func newTally() *tally { return &tally{rows: map[string]*tallyRow{}} }

// add counts one kernel. Faults that no guest announces strike at every boot.
func (y *tally) add(i injection, kr matrix.KernelRun, verdicts []matrix.Verdict, announced int, asExpected bool) {
	r := y.rows[i.name]
	if r == nil {
		r = &tallyRow{means: i.means, injected: map[string]int{}}
		y.rows[i.name], y.order = r, append(y.order, i.name)
	}
	n := announced
	if i.unannounced {
		n = len(kr.Boots)
	}
	r.injected[i.phase] += n
	if asExpected {
		r.expected += n
	}
	for n, v := range verdicts {
		never := i.fails != "" && (i.phase == atBoot || i.phase == atStart)
		struck := i.fails != "" && (i.phase == atSetup || i.phase == atTrials) && !i.once && n == victimCell
		none := v.Kind == matrix.VerdictError || v.Kind == matrix.VerdictInconclusive
		switch {
		case none && !never && !struck:
			r.lost++
		case !none && (never || struck || v.Kind != faultCells[n].right):
			r.wrong++
		}
	}
	if r.told == "" {
		r.told = hostPath.ReplaceAllStringFunc(toldAs(kr), func(found string) string {
			lead, path, _ := strings.Cut(found, "/")
			if strings.HasPrefix(path, "dev/") || strings.HasPrefix(path, "proc/") {
				return found
			}
			return lead + "…/" + filepath.Base(path)
		})
	}
}

// hostPath is a path that says nothing beyond the machine that the test ran on.
var hostPath = regexp.MustCompile(`(^|[ (])/[^/ ]+/[^ :)]+`)

// toldAs is how a kernel's trouble is told.
func toldAs(kr matrix.KernelRun) string {
	for _, c := range kr.Cells {
		if len(c.Ended) > 0 {
			return string(c.Ended[0].Side) + ": " + c.Ended[0].Reason
		}
		if c.Error != nil {
			return string(c.Error.Side) + ": " + c.Error.Reason
		}
		if c.Outcome != nil && c.Outcome.Failure != "" {
			return string(matrix.SideGuest) + ": " + c.Outcome.Failure
		}
		if len(c.Splats) > 0 {
			return "verdict, marked " + c.Splats[0].Kind + ": " + c.Splats[0].Line
		}
	}
	if kr.Error != nil { // a boot without cells
		return string(kr.Error.Side) + ": " + kr.Error.Reason
	}
	for _, b := range kr.Boots {
		if b.Why != "" {
			return b.End + ": " + b.Why
		}
	}
	return "nothing to tell: the verdicts are right"
}

// print logs the rows as a table in Markdown.
func (y *tally) print(t *testing.T) {
	t.Helper()
	total, expected, lost, wrong := 0, 0, 0, 0
	for _, name := range y.order {
		r := y.rows[name]
		var line strings.Builder
		fmt.Fprintf(&line, "| %s | %s | %s |", name, r.means, strings.ReplaceAll(r.told, "|", "\\|"))
		for _, phase := range everyPhase {
			if n := r.injected[phase]; n > 0 {
				fmt.Fprintf(&line, " %d |", n)
			} else {
				line.WriteString(" |")
			}
			total += r.injected[phase]
		}
		fmt.Fprintf(&line, " %d | %d | %d |", r.expected, r.lost, r.wrong)
		t.Log(line.String())
		expected, lost, wrong = expected+r.expected, lost+r.lost, wrong+r.wrong
	}
	t.Logf("%d faults injected, %d told as expected, %d cells lost, %d false verdicts, %d machines or files left", total, expected, lost, wrong, y.left)
}
