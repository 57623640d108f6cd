package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
)

// evidence is a cell with everything behind it.
type evidence struct {
	Cell
	kernel  *matrix.KernelRun
	outcome *matrix.Outcome // nil where the guest sent none
	witness *matrix.Witness // nil where there is none
	why     string          // of the expectation that decided; "" where none did
}

// evidence has the cells in their order, each with what it rests on.
func (r *Report) evidence() []evidence {
	rules := matrixRules(r.Expect)
	kernels := map[string]*matrix.KernelRun{}
	outcomes := map[string]*matrix.Outcome{}
	for i := range r.Kernels {
		k := &r.Kernels[i]
		kernels[k.Kernel] = k
		for n := range k.Cells {
			outcomes[k.Cells[n].Cell.ID()] = k.Cells[n].Outcome
		}
	}
	out := make([]evidence, 0, len(r.Cells))
	for _, c := range r.Cells {
		e := evidence{Cell: c, kernel: kernels[c.Kernel], outcome: outcomes[c.ID()]}
		for i, w := range e.kernel.Witnesses {
			if w.Filesystem == c.Filesystem && w.Kind == c.Scenario {
				e.witness = &e.kernel.Witnesses[i]
			}
		}
		at := matrix.Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch}}
		if i := slices.IndexFunc(rules, func(rule matrix.Rule) bool { return rule.Matches(at) }); i >= 0 {
			e.why = rules[i].Why
		}
		out = append(out, e)
	}
	return out
}

// missing are the planned cells that nothing is known of, in their order.
func (r *Report) missing() []matrix.Cell {
	byID := map[string]matrix.Cell{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			byID[c.Cell.ID()] = c.Cell
		}
	}
	var out []matrix.Cell
	for _, id := range r.Missing {
		out = append(out, byID[id])
	}
	return out
}

// counts are the trials behind the cell; all zero where there is no outcome.
func (e evidence) counts() matrix.Counts {
	if e.outcome == nil {
		return matrix.Counts{}
	}
	return e.outcome.Counts
}

// took is the guest's time for the cell.
func (e evidence) took() time.Duration {
	if e.outcome == nil {
		return 0
	}
	return e.outcome.Setup + e.outcome.Elapsed
}

// groups is the most groups that watched in any block; 0 where none ran.
func (e evidence) groups() int {
	n := 0
	if e.outcome != nil {
		for _, b := range e.outcome.Blocks {
			n = max(n, b.Groups)
		}
	}
	return n
}

// order is what the cell's order witness saw; "" where there was none.
func (e evidence) order() string {
	if e.witness == nil {
		return ""
	}
	return string(e.witness.Order)
}

// log is the console log of the boot that ran the cell, or "".
func (e evidence) log() string {
	if e.Failure != nil && e.Failure.Log != "" {
		return e.Failure.Log
	}
	for _, b := range slices.Backward(e.kernel.Boots) {
		if b.ConsoleLog != "" {
			return b.ConsoleLog
		}
	}
	return ""
}

// repeat is the command that runs just this cell again.
func (r *Report) repeat(c Cell) string {
	// A selection has no way to spell these, but ? matches any character.
	pattern := strings.NewReplacer(",", "?", "|", "?", "*", "?", "[", "?", `\`, "?").Replace
	only := fmt.Sprintf("kernel=%s,filesystem=%s,scenario=%s,watch=%s",
		pattern(c.Kernel), pattern(c.Filesystem), pattern(c.Scenario), pattern(c.Watch))
	return "kqual run --matrix " + shellQuote(r.Matrix.Path) + " --only " + shellQuote(only)
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=,+:%@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printer writes and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
