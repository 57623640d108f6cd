package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxSpoilt is the share of trials that may have lost their event, overflowed
// the queue or opened something else before a zero stops being evidence.
const maxSpoilt = 0.01

// FootnoteEarly marks a clean cell whose order witness saw IN_DELETE before
// IN_DELETE_SELF: the kernel tells too early, yet nothing stale could be
// opened (a patched flag, a dropped dentry).
const FootnoteEarly = "early order"

// FootnoteLate marks an affected cell whose order witness saw the order of a
// fixed kernel.
const FootnoteLate = "late order"

// FootnoteNatural marks an affected cell of a natural scenario: its rate is of
// all trials, and what an unmodified application meets.
const FootnoteNatural = "natural rate"

// Judge turns what one kernel's guests reported into verdicts: one per
// run.Cells entry, in the same order.
func Judge(run KernelRun, s Sampling, cat Catalog) []Verdict {
	planned := len(run.Cells)
	run.Cells = slices.Concat(run.Cells, run.Repeats)
	j := judge{run: run, sampling: s, cat: cat, plainAffected: map[int]bool{}}
	j.verdicts = make([]Verdict, len(run.Cells))
	j.counted = make([]bool, len(run.Cells))
	// What a cell says by itself comes first; what rests on other cells needs
	// to know which plain watches are affected.
	for i, c := range run.Cells {
		j.verdicts[i], j.counted[i] = j.alone(c)
	}
	for i, c := range run.Cells {
		if j.verdicts[i].Kind == VerdictAffected && j.plain(c.Cell) {
			j.plainAffected[c.Boot] = true
		}
	}
	for _, plain := range []bool{true, false} { // dependants last: they read the plain watch's verdict
		for i, c := range run.Cells {
			if j.counted[i] && j.verdicts[i].Kind == "" && j.plain(c.Cell) == plain {
				j.verdicts[i] = j.zero(i)
			}
		}
	}
	for i, c := range run.Cells {
		if v := &j.verdicts[i]; v.Kind != VerdictError {
			v.Footnotes = append(v.Footnotes, splatNotes(c.Splats)...)
			v.Footnotes = append(v.Footnotes, endedNotes(c.Ended)...)
		}
	}
	return j.verdicts[:planned]
}

// splatNotes are the footnotes about trouble in the kernel's log: how much of
// which kind, the first line of each, and why the matrix allows it, if it does.
func splatNotes(splats []Splat) []string {
	type class struct{ kind, allowed string }
	count := map[class]int{}
	for _, s := range splats {
		count[class{s.Kind, s.Allowed}]++
	}
	var notes []string
	for _, s := range splats {
		c := class{s.Kind, s.Allowed}
		if n := count[c]; n > 0 {
			note := fmt.Sprintf("%d × %s in the kernel's log: %s", n, s.Kind, s.Line)
			if s.Allowed != "" {
				note += " (allowed: " + s.Allowed + ")"
			}
			notes = append(notes, note)
			count[c] = 0
		}
	}
	return notes
}

// endedNotes are the footnotes about boots that ended while the cell ran,
// before one gave the answer.
func endedNotes(ended []Failure) []string {
	var notes []string
	for _, f := range ended {
		notes = append(notes, "a boot ended in this cell before: "+firstLine(f.Reason))
	}
	return notes
}

type judge struct {
	run           KernelRun
	sampling      Sampling
	cat           Catalog
	verdicts      []Verdict
	counted       []bool       // Measured, with counts that agree with each other
	plainAffected map[int]bool // boots in which some plain watch is affected, on any filesystem
}

func (j *judge) plain(c Cell) bool { return j.cat.IsPlain(c.Watch) }

// alone gives the verdict that needs no other cell. An empty Kind means that
// no stale open went unnoticed and zero must decide; counted says so too.
func (j *judge) alone(c CellRun) (v Verdict, counted bool) {
	o := c.Outcome
	switch {
	case c.Error != nil:
		return Verdict{Kind: VerdictError, Reason: firstLine(c.Error.Reason)}, false
	case o == nil && j.run.Error != nil:
		return Verdict{Kind: VerdictError, Reason: firstLine(j.run.Error.Reason)}, false
	case o == nil:
		return Verdict{Kind: VerdictError, Reason: "no answer from the guest"}, false
	case o.Status == Unsupported && o.Refusal != nil:
		return Verdict{Kind: VerdictUnsupported, Reason: o.Refusal.String()}, false
	case o.Status == Unsupported:
		return Verdict{Kind: VerdictUnsupported, Reason: cmp.Or(firstLine(o.Failure), "refused, the guest did not say by which call")}, false
	case o.Status == Failed:
		return Verdict{Kind: VerdictError, Reason: cmp.Or(firstLine(o.Failure), "the guest failed and did not say why")}, false
	case o.Status != Measured:
		return Verdict{Kind: VerdictError, Reason: fmt.Sprintf("the guest reports an unknown status %q", o.Status)}, false
	}
	if what := o.fault(); what != "" {
		return Verdict{Kind: VerdictError, Reason: "the guest's counts contradict each other: " + what}, false
	}
	natural := j.cat.Scenarios[c.Cell.Scenario].Natural
	switch {
	case o.Counts.Unnoticed() > 0:
		return j.affected(c, natural), true
	case natural:
		return j.natural(o), true
	}
	return Verdict{}, true
}

// natural is the verdict where a natural scenario met no stale open: a rate to
// show and nothing to rely on, since nothing says how close the reader came.
func (j *judge) natural(o *Outcome) Verdict {
	n := o.Counts
	if n.Trials == 0 {
		return Verdict{Kind: VerdictInconclusive, Hi: 1, Reason: cmp.Or(n.spoilt(), "no trial ran")}
	}
	v := Verdict{Kind: VerdictNatural, Of: n.Trials}
	v.Lo, v.Hi = NaturalInterval(tally(o.Blocks, unnoticedOfTrials), j.sampling.Confidence)
	v.Footnotes = n.notes()
	if what := n.spoilt(); what != "" {
		v.Footnotes = append(v.Footnotes, what)
	}
	return v
}

// affected is the verdict where a stale open went unnoticed, whatever the
// order witness says.
func (j *judge) affected(c CellRun, natural bool) Verdict {
	n := c.Outcome.Counts
	v := Verdict{Kind: VerdictAffected}
	blocks := tally(c.Outcome.Blocks, unnoticedOfDecisive)
	if natural || n.UnnoticedDecisive() == 0 {
		blocks = tally(c.Outcome.Blocks, unnoticedOfTrials)
		if natural {
			v.Footnotes = append(v.Footnotes, FootnoteNatural)
		} else {
			v.Reason = "of all trials; none of the stale opens was in a decisive one"
		}
	}
	evidence := sum(blocks)
	v.Count, v.Of = evidence.Count, evidence.Of
	v.Lo, v.Hi = Interval(blocks, j.sampling.Confidence)
	if used := effectiveBlocks(blocks); used < minSpread {
		v.Footnotes = append(v.Footnotes, fmt.Sprintf("proven, and the rate rests on too few trials: worth %.1f blocks, %d make an interval", used, MinBlocks))
	}
	if w := j.witness(c.Cell); w.Order == Late {
		v.Footnotes = append(v.Footnotes, FootnoteLate)
	}
	if what := n.spoilt(); what != "" {
		v.Footnotes = append(v.Footnotes, what)
	}
	v.Footnotes = append(v.Footnotes, n.notes()...)
	return v
}

// zero is the verdict where no stale open went unnoticed.
func (j *judge) zero(i int) Verdict {
	c := j.run.Cells[i]
	n := c.Outcome.Counts
	recognises := j.cat.Checks[c.Cell.Watch.Check].Recognises
	plain := j.plainOf(i)

	v := Verdict{Of: n.Decisive, Footnotes: n.notes()}
	decisive := tally(c.Outcome.Blocks, unnoticedOfDecisive)
	evidence := decisive
	if recognises && (n.Stale > 0 || plain.state == plainIsAffected) {
		v.Of = n.Stale
		evidence = tally(c.Outcome.Blocks, unnoticedOfStale)
	}
	v.Hi = RuledOut(evidence, j.sampling.Confidence)
	inconclusive := func(format string, args ...any) Verdict {
		v.Kind, v.Reason = VerdictInconclusive, fmt.Sprintf(format, args...)
		return v
	}

	if what := n.spoilt(); what != "" {
		return inconclusive("%s", what)
	}
	isPlain := j.plain(c.Cell)
	if plain.state == plainIsAffected && !isPlain {
		switch {
		case recognises && !j.enough(evidence):
			return inconclusive("all of %d stale opens recognised, %s", n.Stale, j.lacking(evidence))
		case !recognises && !j.enough(evidence):
			return inconclusive("%s", j.tooFew(c.Outcome))
		}
		v.Kind = VerdictHolds
		return v
	}
	if n.Stale > 0 { // all recognised, and no affected plain watch to hold against
		return inconclusive("all of %d stale opens recognised, but %s", n.Stale, plain.why())
	}
	if !j.enough(decisive) {
		return inconclusive("%s", j.tooFew(c.Outcome))
	}
	if plain.state == plainIsAffected {
		return inconclusive("0 stale in %d decisive trials, but %s, a plain watch too, is affected", n.Decisive, plain.name)
	}
	return j.clean(c, v, plain)
}

// clean consults the order witness about a cell that saw nothing stale in
// enough decisive trials.
func (j *judge) clean(c CellRun, v Verdict, plain plainWatch) Verdict {
	w := j.witness(c.Cell)
	paired := plain.state == plainIsClean || plain.state == plainNone
	early := fmt.Sprintf("the order witness says early: the kernel reports the removal before it is done, yet 0 of %d decisive trials were stale", v.Of)
	v.Kind = VerdictInconclusive
	switch w.Order {
	case Late:
		v.Kind = VerdictClean
	case NotApplicable:
		if paired {
			v.Kind = VerdictClean
		} else {
			v.Reason = fmt.Sprintf("0 stale in %d decisive trials, but %s, and no order witness can stand in for it", v.Of, plain.why())
		}
	case Early:
		switch {
		case !paired:
			v.Reason = early + ", and " + plain.why()
		case j.plainAffected[c.Boot]:
			v.Kind = VerdictClean
			v.Footnotes = append([]string{FootnoteEarly}, v.Footnotes...)
		default:
			v.Reason = early + ", and no plain watch of this boot is affected"
		}
	default:
		v.Reason = "no order witness: " + cmp.Or(firstLine(w.Reason), "the guest sent none")
	}
	return v
}

// enough says whether a zero in the blocks rules out the detection limit.
func (j *judge) enough(blocks []Tally) bool {
	return rulesOut(blocks, j.sampling.DetectionLimit, j.sampling.Confidence)
}

// lacking says what a zero in the blocks lacks.
func (j *judge) lacking(blocks []Tally) string {
	needed, limit := Needed(j.sampling.DetectionLimit, j.sampling.Confidence), percent(j.sampling.DetectionLimit)
	if used := effectiveBlocks(blocks); sum(blocks).Of >= needed {
		return fmt.Sprintf("worth %.1f blocks of trials, more needed to rule out %s", used, limit)
	}
	return fmt.Sprintf("%d needed to rule out %s", needed, limit)
}

// tooFew says which evidence is missing.
func (j *judge) tooFew(o *Outcome) string {
	n := o.Counts
	why := ""
	switch {
	case n.Trials == 0:
		why = "; no trial ran"
	case n.Decisive == 0 && n.Contested == 0:
		why = "; the reader never got in before the delete returned"
	case o.Stop == StopMaxTime:
		why = "; max_time was up, raise it"
	case o.Stop == StopFutile:
		why = "; at this yield max_time would not do, raise it or the pressure"
	}
	return fmt.Sprintf("0 stale in %d decisive of %d trials, %s%s",
		n.Decisive, n.Trials, j.lacking(tally(o.Blocks, unnoticedOfDecisive)), why)
}

// plainState is what the plain watches beside a cell amount to.
type plainState int

const (
	plainNone       plainState = iota // there is none, or the cell is the plain watch itself
	plainIsClean                      // measured, nothing stale
	plainIsAffected                   // some stale open
	plainNoAnswer                     // inconclusive, unsupported or error
)

type plainWatch struct {
	state   plainState
	name    string
	verdict Verdict
}

// why says, for a reason, why the plain watch proves nothing.
func (p plainWatch) why() string {
	switch p.state {
	case plainIsClean:
		return "the plain watch " + p.name + " is " + string(VerdictClean)
	case plainNoAnswer:
		return fmt.Sprintf("the plain watch %s is %s", p.name, p.verdict.Kind)
	}
	return "there is no plain watch to compare with"
}

// plainOf finds the plain watches beside cell i: same boot, filesystem, scenario
// and event source. An affected one speaks for all, then a clean one.
func (j *judge) plainOf(i int) plainWatch {
	c, boot := j.run.Cells[i].Cell, j.run.Cells[i].Boot
	var found plainWatch
	rank := map[plainState]int{plainNone: 0, plainNoAnswer: 1, plainIsClean: 2, plainIsAffected: 3}
	for k, other := range j.run.Cells {
		o := other.Cell
		if k == i || other.Boot != boot || o.Filesystem != c.Filesystem || o.Scenario != c.Scenario || o.Watch.Source != c.Watch.Source || !j.plain(o) {
			continue
		}
		p := plainWatch{name: o.Watch.Name, verdict: j.verdicts[k]}
		switch p.verdict.Kind {
		case VerdictAffected:
			p.state = plainIsAffected
		case VerdictClean:
			p.state = plainIsClean
		default:
			p.state = plainNoAnswer
		}
		if rank[p.state] > rank[found.state] {
			found = p
		}
	}
	// A plain watch judges itself; only an affected twin counts against it.
	if j.plain(c) && found.state != plainIsAffected {
		return plainWatch{}
	}
	return found
}

// The scenarios that have an order witness of their own; everywhere else it is
// not applicable.
var witnessed = []string{"unlink", "rmdir"}

// witness finds the order witness of a cell.
func (j *judge) witness(c Cell) Witness {
	for _, w := range j.run.Witnesses {
		if w.Filesystem == c.Filesystem && w.Kind == c.Scenario {
			return w
		}
	}
	w := Witness{Filesystem: c.Filesystem, Kind: c.Scenario, Order: NoOrder}
	if !slices.Contains(witnessed, c.Scenario) {
		w.Order = NotApplicable
	}
	return w
}

// String is the refusal as users read it: fanotify_mark FAN_DELETE: ENODEV.
func (r Refusal) String() string {
	s := r.Syscall
	if r.Flag != "" {
		s += " " + r.Flag
	}
	return s + ": " + r.Errno
}

// fault says how an outcome's counts contradict each other, or "".
func (o *Outcome) fault() string {
	if what := o.Counts.fault(); what != "" {
		return what
	}
	for i, b := range o.Blocks {
		if what := b.fault(); what != "" {
			return fmt.Sprintf("block %d has %s", i+1, what)
		}
	}
	if all := total(o.Blocks); all != o.Counts {
		return fmt.Sprintf("the blocks have %s and %d stale opens, the cell %d and %d",
			plural(all.Trials, "trial"), all.Stale, o.Counts.Trials, o.Counts.Stale)
	}
	return ""
}

// fault says how counts contradict each other, or "".
func (c Counts) fault() string {
	for _, n := range []int{
		c.Trials, c.Contested, c.Decisive, c.Stale, c.StaleDecisive, c.Recognised, c.RecognisedDecisive,
		c.Lost, c.Duplicates, c.Overflows, c.Foreign, c.FalseAlarms,
	} {
		if n < 0 {
			return "one is negative"
		}
	}
	for _, le := range []struct {
		part, whole         int
		partName, wholeName string
	}{
		{c.Contested, c.Trials, "contested", "trials"},
		{c.Decisive, c.Contested, "decisive", "contested"},
		{c.Stale, c.Trials, "stale", "trials"},
		{c.StaleDecisive, c.Stale, "stale decisive", "stale"},
		{c.StaleDecisive, c.Decisive, "stale decisive", "decisive"},
		{c.Recognised, c.Stale, "recognised", "stale"},
		{c.RecognisedDecisive, c.Recognised, "recognised decisive", "recognised"},
		{c.RecognisedDecisive, c.StaleDecisive, "recognised decisive", "stale decisive"},
		{c.UnnoticedDecisive(), c.Unnoticed(), "unnoticed decisive", "unnoticed"},
	} {
		if le.part > le.whole {
			return fmt.Sprintf("%d %s of %d %s", le.part, le.partName, le.whole, le.wholeName)
		}
	}
	return ""
}

// spoilt says that too many trials told nothing, or is "".
func (c Counts) spoilt() string {
	bad := c.Lost + c.Overflows + c.Foreign
	all := c.Trials + c.Overflows // an overflowed trial counts nowhere else
	if bad == 0 || float64(bad) <= maxSpoilt*float64(all) {
		return ""
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{c.Lost, "lost their event"}, {c.Overflows, "overflowed the queue"}, {c.Foreign, "opened something else"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return fmt.Sprintf("of %d trials %s", all, strings.Join(parts, ", "))
}

// notes are the footnotes that any cell may have.
func (c Counts) notes() []string {
	if c.FalseAlarms > 0 {
		return []string{fmt.Sprintf("%d of %d trials were false alarms of the check", c.FalseAlarms, c.Trials)}
	}
	return nil
}

func firstLine(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s
}
