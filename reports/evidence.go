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
	boot    int             // that gave the outcome, index of kernel.Boots
	witness *matrix.Witness // nil where there is none
	why     string          // of the expectation that decided; "" where none did
}

// evidence has the cells in their order, each with what it rests on.
func (r *Report) evidence() []evidence {
	rules := matrixRules(r.Expect)
	kernels := map[string]*matrix.KernelRun{}
	runs := map[string]*matrix.CellRun{}
	for i := range r.Kernels {
		k := &r.Kernels[i]
		kernels[k.Kernel] = k
		for n := range k.Cells {
			runs[k.Cells[n].Cell.ID()] = &k.Cells[n]
		}
	}
	out := make([]evidence, 0, len(r.Cells))
	for _, c := range r.Cells {
		run := runs[c.ID()]
		e := evidence{Cell: c, kernel: kernels[c.Kernel], outcome: run.Outcome, boot: run.Boot}
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

// log is the log that says why there is no answer, else the console log of the
// boot that gave it, or "".
func (e evidence) log() string {
	if e.Failure != nil && e.Failure.Log != "" {
		return e.Failure.Log
	}
	if boots := e.kernel.Boots; e.outcome != nil && e.boot >= 0 && e.boot < len(boots) && boots[e.boot].ConsoleLog != "" {
		return boots[e.boot].ConsoleLog
	}
	for _, b := range slices.Backward(e.kernel.Boots) {
		if b.ConsoleLog != "" {
			return b.ConsoleLog
		}
	}
	return ""
}

// logs are the logs of a kernel's cells by kernel, each once.
func logs(cells []evidence) map[string][]string {
	out := map[string][]string{}
	for _, e := range cells {
		if log := e.log(); log != "" && !slices.Contains(out[e.Kernel], log) {
			out[e.Kernel] = append(out[e.Kernel], log)
		}
	}
	return out
}

// link is Options.Link, or "".
func (o Options) link(log string) string {
	if o.Link == nil || log == "" {
		return ""
	}
	return o.Link(log)
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
