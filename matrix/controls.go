package matrix

import (
	"cmp"
	"fmt"
	"slices"
)

// Controls are the cells of a matrix whose answer is known: they show what the
// host can see. A must-be-affected control is a kernel known to be bad; where
// it is not affected, the host is blind and a zero means nothing. A
// must-be-clean control is a kernel known to be good; where it is affected, the
// host is noisy and a stale open means nothing.

// ControlCheck is what the controls of a matrix say about the host of a run.
type ControlCheck struct {
	Blind  bool `json:"blind"`  // a cell that must be affected is not
	Noisy  bool `json:"noisy"`  // a cell that must be clean is affected
	Cells  int  `json:"cells"`  // of controls, with an answer
	Passed int  `json:"passed"` // of Cells
	// Overruled counts the verdicts that rested on a control that failed and
	// became inconclusive.
	Overruled int      `json:"overruled"`
	Failed    []string `json:"failed"`  // one line per control cell that failed
	Missing   []string `json:"missing"` // one line per control without an answer in this run
}

// Named says whether the matrix names controls at all.
func (c ControlCheck) Named() bool { return c.Cells+len(c.Missing) > 0 }

// CheckControls judges the host by its controls, and returns verdicts (one list
// per run, as [Judge] returns them) in which those that rest on a failed
// control are inconclusive, the control's own included.
//
// A zero (clean) rests on the must-be-affected controls, a stale open
// (affected, and holds, which needs an affected plain watch) on the
// must-be-clean ones: those of the same filesystem and scenario, or, where
// these have none, all. A zero that holds has its own proof that the host sees
// the race, the plain watch beside it. Every control must satisfy
// [Rule.CanControl].
func CheckControls(controls []Rule, runs []KernelRun, verdicts [][]Verdict) (ControlCheck, [][]Verdict) {
	check := ControlCheck{Failed: []string{}, Missing: []string{}}
	rests := map[VerdictKind]*failures{VerdictAffected: {}, VerdictClean: {}}
	for _, rule := range controls {
		answered := false
		for i := range min(len(runs), len(verdicts)) {
			for k, c := range runs[i].Cells {
				if !rule.Matches(c.Cell) || k >= len(verdicts[i]) {
					continue
				}
				failed, ok := controlFailed(rule, c.Cell, verdicts[i][k])
				if !ok {
					continue
				}
				answered = true
				check.Cells++
				rests[rule.must()].add(c.Cell, failed)
				if failed == "" {
					check.Passed++
				} else {
					check.Failed = append(check.Failed, failed)
				}
			}
		}
		if !answered {
			check.Missing = append(check.Missing, rule.control())
		}
	}
	check.Blind, check.Noisy = rests[VerdictAffected].first != "", rests[VerdictClean].first != ""

	out := make([][]Verdict, len(verdicts))
	for i := range min(len(runs), len(verdicts)) {
		out[i] = slices.Clone(verdicts[i])
		for k := range min(len(out[i]), len(runs[i].Cells)) {
			v := &out[i][k]
			what, why := "", ""
			switch v.Kind {
			case VerdictClean:
				what, why = "blind", rests[VerdictAffected].at(runs[i].Cells[k].Cell)
			case VerdictAffected, VerdictHolds:
				what, why = "noisy", rests[VerdictClean].at(runs[i].Cells[k].Cell)
			}
			if why != "" {
				v.Kind, v.Reason = VerdictInconclusive, "the host is "+what+": "+why
				check.Overruled++
			}
		}
	}
	return check, out
}

// CanControl says whether the rule can be a control: it names one verdict, and
// that is affected or clean.
func (r Rule) CanControl() bool {
	return len(r.Verdict) == 1 && (r.must() == VerdictAffected || r.must() == VerdictClean)
}

// must is the verdict that a control's cells must have.
func (r Rule) must() VerdictKind { return r.Verdict[0] }

// controlFailed says how a control's cell fails, "" where it passes. ok is
// false where the cell has no answer that says anything about the host.
func controlFailed(r Rule, c Cell, v Verdict) (failed string, ok bool) {
	switch {
	case v.Kind == r.must():
		return "", true
	case v.Kind == VerdictError || v.Kind == VerdictUnsupported || v.Kind == VerdictNatural:
		return "", false
	case r.must() == VerdictClean && v.Kind == VerdictInconclusive:
		return "", false // it saw nothing stale, and so no noise
	}
	return fmt.Sprintf("%s must be %s (%s) and is %s", c.ID(), r.must(), r.Why, got(v)), true
}

// failures are the controls of one kind, by place.
type failures struct {
	first  string           // the first failure of all
	places map[place]string // with a control of this kind; "" where all pass
}

func (f *failures) add(c Cell, failed string) {
	if f.places == nil {
		f.places = map[place]string{}
	}
	p := place{c.Filesystem, c.Scenario}
	f.places[p] = cmp.Or(f.places[p], failed)
	f.first = cmp.Or(f.first, failed)
}

// at is the failure that a cell's verdict rests on.
func (f *failures) at(c Cell) string {
	if failed, ok := f.places[place{c.Filesystem, c.Scenario}]; ok {
		return failed
	}
	return f.first
}

// control is a control in one line: v5.10-affected/*/*/IN_DELETE must be
// affected.
func (r Rule) control() string {
	part := func(patterns []string) string {
		if len(patterns) == 0 {
			return "*"
		}
		return listed(patterns)
	}
	return fmt.Sprintf("%s/%s/%s/%s must be %s", part(r.Kernel), part(r.Filesystem), part(r.Scenario), part(r.Watch), r.must())
}

// missingControls has one line per control of which no cell is planned.
func missingControls(controls []Rule, kernels []KernelPlan) []string {
	var out []string
	for _, r := range controls {
		planned := slices.ContainsFunc(kernels, func(k KernelPlan) bool { return slices.ContainsFunc(k.Cells, r.Matches) })
		if !planned {
			out = append(out, r.control())
		}
	}
	return out
}
