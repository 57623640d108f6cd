package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// Meaning is what a Difference means for somebody who qualifies a kernel.
type Meaning string

// The changes of a Difference; "" where it has none of these meanings.
const (
	ChangeNew      Meaning = "new"           // affected, and was not
	ChangeFixed    Meaning = "fixed"         // was affected, and a firm answer says that it is no more
	ChangeLost     Meaning = "lost coverage" // a firm answer was lost: that is no pass
	ChangeRegained Meaning = "regained"      // there is a firm answer again
	ChangeFlapping Meaning = "flapping"      // see Comparison.CompareNights
)

// Conditions are what must be alike before two answers about a cell are
// compared: what moves a rate beside the kernel. What is unknown is zero, and
// like anything.
type Conditions struct {
	Arch     string `json:"arch,omitempty"`
	Accel    string `json:"accel,omitempty"`
	CPUModel string `json:"cpu_model,omitempty"` // QEMU's
	VCPUs    int    `json:"vcpus,omitempty"`
	Tool     string `json:"tool,omitempty"`     // version of kqual, and so of its guest
	Pressure int    `json:"pressure,omitempty"` // as the matrix has it
}

// Like says whether answers under c and d can be compared.
func (c Conditions) Like(d Conditions) bool { return c.changes(d) == "" }

// changes lists what differs from c to d, as far as both are known.
func (c Conditions) changes(d Conditions) string {
	var parts []string
	text := func(what, a, b string) {
		if a != b && a != "" && b != "" {
			parts = append(parts, fmt.Sprintf("another %s (%s → %s)", what, a, b))
		}
	}
	number := func(what string, a, b int) {
		if a != b && a != 0 && b != 0 {
			parts = append(parts, fmt.Sprintf("another %s (%s → %s)", what, pressureText(a), pressureText(b)))
		}
	}
	text("architecture", c.Arch, d.Arch)
	text("accelerator", c.Accel, d.Accel)
	text("CPU model", c.CPUModel, d.CPUModel)
	number("number of vCPUs", c.VCPUs, d.VCPUs)
	text("version of kqual", c.Tool, d.Tool)
	number("pressure", c.Pressure, d.Pressure)
	return strings.Join(parts, ", ")
}

func pressureText(n int) string {
	if n == PressureAuto {
		return "auto"
	}
	return fmt.Sprint(n)
}

// worth orders verdicts: an affected cell is the worst, then no answer.
func (k VerdictKind) worth() int {
	switch k {
	case VerdictClean, VerdictHolds:
		return 3
	case VerdictUnsupported, VerdictNatural:
		return 2
	case VerdictInconclusive, VerdictError:
		return 1
	}
	return 0
}

// Firm says whether the verdict is an answer.
func (k VerdictKind) Firm() bool { return k != VerdictInconclusive && k != VerdictError && k != "" }

// provenAnyway says whether a change of verdict means the same whatever the
// conditions: a stale open that was seen is proven, and an answer that is
// missing is missing.
func provenAnyway(before, after VerdictKind) bool {
	return before != after && (after == VerdictAffected || before.Firm() && !after.Firm())
}

func changeOf(before, after VerdictKind) Meaning {
	switch {
	case after == VerdictAffected:
		return ChangeNew
	case before.Firm() && !after.Firm():
		return ChangeLost
	case before.worth() > after.worth(): // clean, and now refused
		return ChangeLost
	case before == VerdictAffected:
		return ChangeFixed
	case !before.Firm() && after.Firm():
		return ChangeRegained
	}
	return ""
}

// Regressed says whether an answer turned bad, as opposed to being lost.
func (d Difference) Regressed() bool { return d.Kind == DiffWorse && d.Change != ChangeLost }

// Lost says whether an answer, or the whole cell, is there no more.
func (d Difference) Lost() bool { return d.Change == ChangeLost || d.Kind == DiffGone }

// Exit is what the comparison alone amounts to, as an exit code: 1 something is
// affected that was not, 3 coverage was lost (a kernel that vanished included),
// 0 nothing got worse. 1 outranks 3.
func (c Comparison) Exit() int {
	exit := ExitMet
	for _, d := range c.Differences {
		switch {
		case d.Regressed():
			return ExitUnmet
		case d.Lost():
			exit = ExitNoAnswer
		}
	}
	return exit
}

// Night is one cell on one night.
type Night struct {
	Run     string
	Image   string // sha256 of what booted
	Verdict VerdictKind
	Under   Conditions
}

// minSwitches is how often an answer must change, on one image and under like
// conditions, to flap: once may be the first sight of a rare race.
const minSwitches = 2

// CompareNights marks the cells that flap: that are affected on some nights and
// not on others although the same image booted under like conditions, so that
// no kernel changed. nights has, by cell ID, the nights up to and with the new
// run's, the oldest first. A cell that got worse and flaps is worse all the
// same.
func (c *Comparison) CompareNights(nights map[string][]Night, confidence float64) {
	var ids []string
	for id := range nights {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		text := flapping(nights[id], confidence)
		if text == "" {
			continue
		}
		i := slices.IndexFunc(c.Differences, func(d Difference) bool { return d.Cell == id && (d.Kind == DiffWorse || d.Kind == DiffBetter) })
		if i < 0 {
			c.Differences = append(c.Differences, Difference{Kind: DiffFlapping, Cell: id, Text: text, Change: ChangeFlapping})
			continue
		}
		if d := &c.Differences[i]; d.Change != ChangeLost {
			d.Change = ChangeFlapping
			d.Text += "; " + text
		}
	}
	c.sort()
}

// flapping says how a cell flaps, "" where it does not.
func flapping(nights []Night, confidence float64) string {
	if len(nights) == 0 {
		return ""
	}
	last := nights[len(nights)-1]
	affected, of, switches := 0, 0, 0
	var before VerdictKind
	for _, n := range nights {
		if !n.Verdict.Firm() || n.Image == "" || n.Image != last.Image || !n.Under.Like(last.Under) {
			continue
		}
		is := n.Verdict == VerdictAffected
		if before != "" && is != (before == VerdictAffected) {
			switches++
		}
		before = n.Verdict
		of++
		if is {
			affected++
		}
	}
	if switches < minSwitches {
		return ""
	}
	lo, hi := FixedInterval(affected, of, confidence)
	return fmt.Sprintf("affected on %d of %d nights with the same image and machine %s", affected, of, IntervalText(lo, hi))
}

// kernelsOnlyIn lists the kernels that have a cell in a and none in b.
func kernelsOnlyIn(a, b []Judged) []string {
	has := map[string]bool{}
	for _, j := range b {
		has[j.Cell.Kernel] = true
	}
	out := []string{}
	for _, j := range a {
		if k := j.Cell.Kernel; !has[k] {
			has[k] = true
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
