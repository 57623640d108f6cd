package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FindingKind groups findings.
type FindingKind string

// The kinds of findings, in the order in which Find returns them.
const (
	FindingAffected      FindingKind = "affected"      // a plain watch meets stale opens somewhere
	FindingClean         FindingKind = "clean"         // a plain watch meets none anywhere
	FindingNatural       FindingKind = "natural"       // a plain watch met none, at pressure 0
	FindingBoundary      FindingKind = "boundary"      // a plain watch's answer changes between two versions
	FindingContradiction FindingKind = "contradiction" // answers that do not fit each other or the known facts
	FindingBackport      FindingKind = "backport"      // a kernel has what mainline of its version has not
	FindingMitigation    FindingKind = "mitigation"    // where another watch holds, fails or is not available; the best first
	FindingAdvice        FindingKind = "advice"        // what an application should do on these kernels
	FindingConfidence    FindingKind = "confidence"    // how far the answers carry
	FindingNoAnswer      FindingKind = "no answer"     // a kernel with cells that have no answer
)

// Finding is one sentence about several cells.
type Finding struct {
	Kind        FindingKind `json:"kind"`
	Text        string      `json:"text"`
	Watch       string      `json:"watch,omitempty"`
	Filesystems []string    `json:"filesystems,omitempty"` // that agree
	Scenarios   []string    `json:"scenarios,omitempty"`   // that agree
	Kernels     []string    `json:"kernels,omitempty"`     // that the text is mostly about, oldest first
}

// Find says in words what the verdicts (one list per run, as [Judge] returns
// them) show over the kernels, ordered by version: where the plain watches are
// affected, between which versions that changes, what does not fit, where which
// mitigation holds, how far all this carries, and what has no answer. What to
// do comes first.
func Find(runs []KernelRun, verdicts [][]Verdict, s Sampling, cat Catalog) []Finding {
	f := newFinder(runs, verdicts, s, cat)
	var plain, boundaries, contradictions, mitigations []Finding
	ranking := f.ranking()
	for _, w := range f.watches {
		if !cat.IsPlain(w) {
			continue
		}
		for _, g := range f.groups(w.Name) {
			plain = append(plain, f.plain(w, g))
			found, odd := f.boundaries(w, g)
			boundaries = append(boundaries, found...)
			contradictions = append(contradictions, odd...)
		}
	}
	for _, m := range ranking {
		for _, g := range f.groups(m.watch.Name) {
			if m, ok := f.mitigation(m.watch, g); ok {
				mitigations = append(mitigations, m)
			}
		}
	}
	slices.SortStableFunc(plain, func(a, b Finding) int { return cmp.Compare(a.Kind, b.Kind) }) // affected before clean
	return slices.Concat(
		f.advice(ranking), plain, boundaries, contradictions, f.againstFacts(), mitigations, f.confidence(), f.noAnswers(),
	)
}

// place is where a watch watches.
type place struct{ filesystem, scenario string }

// finder has the verdicts of all kernels, oldest kernel first.
type finder struct {
	kernels  []orderedKernel
	sampling Sampling
	cat      Catalog
	watches  []Watch // in order of first appearance; one per name
	places   []place
	affected map[string]map[place]bool // kernel → places where some plain watch is affected
}

type orderedKernel struct {
	run      KernelRun
	verdicts []Verdict
	version  Version
	known    bool // version is
	at       map[place]map[string]Verdict
}

func newFinder(runs []KernelRun, verdicts [][]Verdict, s Sampling, cat Catalog) *finder {
	f := &finder{sampling: s, cat: cat, affected: map[string]map[place]bool{}}
	for i, run := range runs {
		k := orderedKernel{run: run, at: map[place]map[string]Verdict{}}
		if i < len(verdicts) {
			k.verdicts = verdicts[i]
		}
		k.version, k.known = RunVersion(run)
		f.kernels = append(f.kernels, k)
		f.affected[run.Kernel] = map[place]bool{}
		for n, c := range run.Cells {
			p := place{c.Cell.Filesystem, c.Cell.Scenario}
			if !slices.Contains(f.places, p) {
				f.places = append(f.places, p)
			}
			w := c.Cell.Watch
			if !slices.ContainsFunc(f.watches, func(o Watch) bool { return o.Name == w.Name }) {
				f.watches = append(f.watches, w)
			}
			if n >= len(k.verdicts) {
				continue
			}
			if k.at[p] == nil {
				k.at[p] = map[string]Verdict{}
			}
			k.at[p][w.Name] = k.verdicts[n]
			if k.verdicts[n].Kind == VerdictAffected && cat.IsPlain(w) {
				f.affected[run.Kernel][p] = true
			}
		}
	}
	slices.SortStableFunc(f.kernels, func(a, b orderedKernel) int { return compareRuns(a.run, b.run) })
	return f
}

// RunVersion is the version that orders a kernel among others: that of its
// package or source, else the release that the guest reported.
func RunVersion(run KernelRun) (Version, bool) {
	texts := []string{run.Provenance.Version}
	for _, b := range slices.Backward(run.Boots) {
		texts = append(texts, b.Release)
	}
	for _, t := range texts {
		if v, err := ParseVersion(t); err == nil {
			return v, true
		}
	}
	return Version{}, false
}

// compareRuns orders kernels by version, those without one last, and equal
// ones as the matrix has them.
func compareRuns(a, b KernelRun) int {
	av, aok := RunVersion(a)
	bv, bok := RunVersion(b)
	switch {
	case aok && !bok:
		return -1
	case !aok && bok:
		return 1
	}
	return cmp.Or(av.Compare(bv), cmp.Compare(a.Index, b.Index))
}

// SortRuns orders kernels by version, as findings do: oldest first, those
// without a version last, equal ones as the matrix has them.
func SortRuns(runs []KernelRun) { slices.SortStableFunc(runs, compareRuns) }

// group is a set of places where a watch has the same answers on every kernel:
// the product of filesystems and scenarios.
type group struct {
	filesystems, scenarios []string
	kinds                  []VerdictKind // by kernel; "" where there is no such cell
	relevant               []bool        // by kernel: some plain watch is affected there
}

func (g group) String() string {
	return listed(g.filesystems) + "/" + listed(g.scenarios)
}

// groups merges the places of a watch whose answers agree: first filesystems
// within a scenario, then scenarios.
func (f *finder) groups(watch string) []group {
	var merged []group
	for _, p := range f.places {
		g := group{filesystems: []string{p.filesystem}, scenarios: []string{p.scenario}}
		some := false
		for _, k := range f.kernels {
			v, ok := k.at[p][watch]
			some = some || ok
			g.kinds = append(g.kinds, v.Kind)
			g.relevant = append(g.relevant, f.affected[k.run.Kernel][p])
		}
		if !some {
			continue
		}
		i := slices.IndexFunc(merged, func(m group) bool {
			return m.scenarios[0] == p.scenario && m.agrees(g)
		})
		if i < 0 {
			merged = append(merged, g)
		} else {
			merged[i].filesystems = append(merged[i].filesystems, p.filesystem)
		}
	}
	var out []group
	for _, g := range merged {
		i := slices.IndexFunc(out, func(m group) bool {
			return slices.Equal(m.filesystems, g.filesystems) && m.agrees(g)
		})
		if i < 0 {
			out = append(out, g)
		} else {
			out[i].scenarios = append(out[i].scenarios, g.scenarios...)
		}
	}
	return out
}

func (g group) agrees(o group) bool {
	return slices.Equal(g.kinds, o.kinds) && slices.Equal(g.relevant, o.relevant)
}

// plain says where a plain watch is affected and where not.
func (f *finder) plain(w Watch, g group) Finding {
	out := Finding{Kind: FindingClean, Watch: w.Name, Filesystems: g.filesystems, Scenarios: g.scenarios}
	about := []VerdictKind{VerdictAffected}
	if slices.Contains(g.kinds, VerdictAffected) {
		out.Kind = FindingAffected
	} else {
		about = []VerdictKind{VerdictClean, VerdictHolds, VerdictNatural}
		switch {
		case slices.Contains(g.kinds, VerdictClean):
		case slices.Contains(g.kinds, VerdictNatural):
			out.Kind = FindingNatural
		default:
			out.Kind = FindingNoAnswer
		}
	}
	out.Kernels = f.names(func(i int) bool { return slices.Contains(about, g.kinds[i]) })
	out.Text = fmt.Sprintf("%s on %s: %s", w.Name, g, f.where(g, nil, []said{
		{"affected on %s", []VerdictKind{VerdictAffected}},
		{"clean (below " + escape(percent(f.sampling.DetectionLimit)) + ") on %s", []VerdictKind{VerdictClean, VerdictHolds}},
		{"nothing stale at the natural rate on %s", []VerdictKind{VerdictNatural}},
		{"not available on %s", []VerdictKind{VerdictUnsupported}},
		{"no answer on %s", []VerdictKind{VerdictInconclusive, VerdictError}},
	}))
	return out
}

// mitigation says what a watch that is not plain achieves on the kernels that
// need it: where some plain watch is affected, or where it fails itself.
func (f *finder) mitigation(w Watch, g group) (Finding, bool) {
	needed := func(i int) bool { return g.relevant[i] || g.kinds[i] == VerdictAffected }
	kernels := f.names(func(i int) bool { return needed(i) && g.kinds[i] != "" })
	if len(kernels) == 0 {
		return Finding{}, false
	}
	return Finding{
		Kind: FindingMitigation, Watch: w.Name, Filesystems: g.filesystems, Scenarios: g.scenarios, Kernels: kernels,
		Text: fmt.Sprintf("%s on %s: %s", w.Name, g, f.where(g, needed, []said{
			{"holds on %s", []VerdictKind{VerdictHolds}},
			{"fails on %s", []VerdictKind{VerdictAffected}},
			{"clean on %s, where its plain watch is not affected", []VerdictKind{VerdictClean}},
			{"nothing stale at the natural rate on %s", []VerdictKind{VerdictNatural}},
			{"not available on %s", []VerdictKind{VerdictUnsupported}},
			{"no answer on %s", []VerdictKind{VerdictInconclusive, VerdictError}},
		})),
	}, true
}

// said is a phrase for kernels with one of the kinds.
type said struct {
	format string
	kinds  []VerdictKind
}

func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// where joins the phrases that apply to some kernel.
func (f *finder) where(g group, only func(int) bool, phrases []said) string {
	var parts []string
	for _, p := range phrases {
		names := f.ranges(func(i int) bool {
			return slices.Contains(p.kinds, g.kinds[i]) && (only == nil || only(i))
		}, func(i int) bool { return g.kinds[i] != "" && (only == nil || only(i)) })
		if names != "" {
			parts = append(parts, fmt.Sprintf(p.format, names))
		}
	}
	return strings.Join(parts, "; ")
}

// names are the kernels that are in, oldest first.
func (f *finder) names(in func(int) bool) []string {
	var out []string
	for i, k := range f.kernels {
		if in(i) {
			out = append(out, k.run.Kernel)
		}
	}
	return out
}

// rangeFrom is how many neighbouring kernels are shortened to "first … last".
const rangeFrom = 4

// ranges lists the kernels that are in. Neighbours are shortened; kernels that
// do not count are no gap between neighbours.
func (f *finder) ranges(in, counts func(int) bool) string {
	var parts, open []string
	flush := func() {
		if len(open) >= rangeFrom {
			open = []string{fmt.Sprintf("%s … %s (%d kernels)", open[0], open[len(open)-1], len(open))}
		}
		parts = append(parts, open...)
		open = nil
	}
	for i, k := range f.kernels {
		switch {
		case in(i):
			open = append(open, k.label())
		case counts(i):
			flush()
		}
	}
	flush()
	return strings.Join(parts, ", ")
}

// label is the kernel's name, with its version where the name does not say it.
func (k orderedKernel) label() string {
	if !k.known {
		return k.run.Kernel
	}
	v := k.version.Upstream()
	if strings.Contains(k.run.Kernel, v) {
		return k.run.Kernel
	}
	return fmt.Sprintf("%s (%s)", k.run.Kernel, v)
}

// DetailPatches is the key in Provenance.Details under which a source lists the
// patches that it applied. A patched kernel is no release: it says nothing
// about between which versions something changed.
const DetailPatches = "patches"

func (k orderedKernel) onLine() bool {
	return k.known && k.run.Provenance.Details[DetailPatches] == ""
}

// noAnswers has one finding per kernel with cells that have no answer.
func (f *finder) noAnswers() []Finding {
	var out []Finding
	for _, k := range f.kernels {
		var open []string
		reason, sameReason := "", true
		for i, c := range k.run.Cells {
			v := Verdict{Kind: VerdictError, Reason: "no verdict"}
			if i < len(k.verdicts) {
				v = k.verdicts[i]
			}
			if v.Kind != VerdictInconclusive && v.Kind != VerdictError {
				continue
			}
			cell := c.Cell
			cell.Kernel = ""
			open = append(open, strings.TrimPrefix(cell.ID(), "/"))
			if len(open) > 1 && v.Reason != reason {
				sameReason = false
			}
			if len(open) == 1 {
				reason = v.Reason
			}
		}
		n := len(k.run.Cells)
		var text string
		switch {
		case n == 0 && k.run.Error != nil:
			text = "no cell was run: " + firstLine(k.run.Error.Reason)
		case n == 0:
			text = "no cell was run"
		case len(open) == 0:
			continue
		case len(open) == n && sameReason:
			text = fmt.Sprintf("no answer for any of %s: %s", plural(n, "cell"), reason)
		case len(open) == 1:
			text = fmt.Sprintf("no answer for %s: %s", open[0], reason)
		case sameReason:
			text = fmt.Sprintf("no answer for %d of %d cells: %s", len(open), n, reason)
		default:
			text = fmt.Sprintf("no answer for %d of %d cells, first %s: %s", len(open), n, open[0], reason)
		}
		out = append(out, Finding{Kind: FindingNoAnswer, Kernels: []string{k.run.Kernel}, Text: k.label() + ": " + text})
	}
	return out
}

// listed is "a", "a and b" or "a, b and c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
