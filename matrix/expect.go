package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// GateState says how a cell relates to what the matrix expects.
type GateState string

// The states of a CellGate.
const (
	GateMet      GateState = "met"       // the verdict is one that the rule names
	GateUnmet    GateState = "unmet"     // it is another one
	GateNoAnswer GateState = "no answer" // error or inconclusive, and no rule names that
	GateNoRule   GateState = "no rule"   // no rule matches, or it is a natural zero: every answer is accepted
	GateWaived   GateState = "waived"    // unmet or no answer, and a waiver in force covers it
)

// CellGate is one cell before the gate.
type CellGate struct {
	Cell    Cell      `json:"cell"`
	Verdict Verdict   `json:"verdict"`
	State   GateState `json:"state"`
	Rule    int       `json:"rule"` // index in Spec.Expect; -1 where none matches
	// Text is one line for the states that need one:
	// "expected clean because a37d9a17f099, got affected".
	Text string `json:"text,omitempty"`
}

// GateResult is what a run amounts to.
type GateResult struct {
	Cells    []CellGate `json:"cells"` // kernel by kernel, in the order of the runs
	Met      int        `json:"met"`
	Unmet    int        `json:"unmet"`
	NoAnswer int        `json:"no_answer"`
	NoRule   int        `json:"no_rule"`
	Waived   int        `json:"waived"`
	// Exit is the exit code: 0 every cell met its expectation, 1 some did not,
	// 3 some has no answer; 1 outranks 3.
	Exit int    `json:"exit"`
	Why  string `json:"why"` // one line about Exit

	silent []string // kernels that have no cell at all
}

// The exit codes of a gate.
const (
	ExitMet      = 0
	ExitUnmet    = 1
	ExitNoAnswer = 3
)

// Gate compares verdicts (one list per run, one verdict per cell, as [Judge]
// returns them) with the expectations. The first matching rule decides. A cell
// without a rule accepts every answer; a control accepts every answer too,
// whatever the rules say of it. An error or inconclusive cell is no answer,
// unless its rule names that verdict. A natural zero meets or fails no rule but
// one that names it.
func Gate(rules []Rule, runs []KernelRun, verdicts [][]Verdict) GateResult {
	var cells []CellGate
	var silent []string
	for i, run := range runs {
		for k, c := range run.Cells {
			v := Verdict{Kind: VerdictError, Reason: "no verdict"}
			if i < len(verdicts) && k < len(verdicts[i]) {
				v = verdicts[i][k]
			}
			cells = append(cells, gateCell(rules, c.Cell, v))
		}
		if len(run.Cells) == 0 {
			silent = append(silent, run.Kernel)
		}
	}
	return resultOf(cells, silent)
}

// resultOf counts the cells and decides what they amount to.
func resultOf(cells []CellGate, silent []string) GateResult {
	g := GateResult{Cells: cells, silent: silent}
	var unmet, noAnswer string // the first of each
	for _, c := range g.Cells {
		switch c.State {
		case GateMet:
			g.Met++
		case GateNoRule:
			g.NoRule++
		case GateWaived:
			g.Waived++
		case GateUnmet:
			g.Unmet++
			if unmet == "" {
				unmet = c.Cell.ID() + ": " + c.Text
			}
		case GateNoAnswer:
			g.NoAnswer++
			if noAnswer == "" {
				noAnswer = c.Cell.ID() + ": " + c.Text
			}
		}
	}
	all := len(g.Cells)
	switch {
	case g.Unmet > 0:
		g.Exit = ExitUnmet
		g.Why = fmt.Sprintf("%d of %s did not meet the expectation, first %s", g.Unmet, plural(all, "cell"), unmet)
	case g.NoAnswer > 0:
		g.Exit = ExitNoAnswer
		g.Why = fmt.Sprintf("%d of %s without an answer, first %s", g.NoAnswer, plural(all, "cell"), noAnswer)
	case len(silent) > 0:
		g.Exit = ExitNoAnswer
		g.Why = "no cell was run on " + strings.Join(silent, ", ")
	case all == 0:
		g.Exit = ExitNoAnswer
		g.Why = "no cell was run"
	case g.NoRule == all:
		g.Why = fmt.Sprintf("%s answered; no expectation applies to any", plural(all, "cell"))
	case g.NoRule > 0:
		g.Why = fmt.Sprintf("%d of %s met the expectation, no expectation applies to %d", g.Met, plural(all, "cell"), g.NoRule)
		if g.Waived > 0 {
			g.Why += fmt.Sprintf(", %d waived", g.Waived)
		} else {
			g.Why = strings.Replace(g.Why, "applies to ", "applies to the other ", 1)
		}
	case g.Waived > 0:
		g.Why = fmt.Sprintf("%d of %s met the expectation, %d waived", g.Met, plural(all, "cell"), g.Waived)
	case all == 1:
		g.Why = "the only cell met its expectation"
	default:
		g.Why = fmt.Sprintf("all %d cells met their expectations", all)
	}
	return g
}

func gateCell(rules []Rule, c Cell, v Verdict) CellGate {
	g := CellGate{Cell: c, Verdict: v, State: GateNoRule, Rule: slices.IndexFunc(rules, func(r Rule) bool { return r.Matches(c) })}
	noAnswer := v.Kind != VerdictAffected && v.Kind != VerdictHolds && v.Kind != VerdictClean && v.Kind != VerdictUnsupported
	switch {
	case g.Rule >= 0 && slices.Contains(rules[g.Rule].Verdict, v.Kind):
		g.State = GateMet
	case v.Kind == VerdictNatural: // never gates
	case noAnswer:
		g.State = GateNoAnswer
		g.Text = got(v)
		if g.Rule >= 0 && !c.Watch.Control {
			g.Text = expected(rules[g.Rule]) + ", got " + g.Text
		}
	case g.Rule >= 0 && !c.Watch.Control:
		g.State = GateUnmet
		g.Text = expected(rules[g.Rule]) + ", got " + got(v)
	}
	return g
}

// Matches says whether the rule is about the cell.
func (r Rule) Matches(c Cell) bool {
	return matchAny(r.Kernel, c.Kernel) && matchAny(r.Filesystem, c.Filesystem) &&
		matchAny(r.Scenario, c.Scenario) && matchAny(r.Watch, c.Watch.Name)
}

func expected(r Rule) string {
	kinds := make([]string, len(r.Verdict))
	for i, k := range r.Verdict {
		kinds[i] = string(k)
	}
	return fmt.Sprintf("expected %s because %s", strings.Join(kinds, " or "), r.Why)
}

func got(v Verdict) string {
	switch v.Kind {
	case VerdictAffected, VerdictHolds, VerdictClean:
		return fmt.Sprintf("%s (%d/%d)", v.Kind, v.Count, v.Of)
	}
	if v.Reason == "" {
		return string(v.Kind)
	}
	return fmt.Sprintf("%s (%s)", v.Kind, v.Reason)
}

// plural is "1 cell" or "3 cells".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
