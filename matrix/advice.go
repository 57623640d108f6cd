package matrix

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ranked is a mitigation with what it achieves over all kernels: a kernel
// counts as what its worst place says.
type ranked struct {
	watch Watch
	holds []string // kernels where it holds wherever the plain watch is affected, and is available everywhere
	idle  []string // nothing to hold against, and available everywhere
	fails []string
	gone  []string // the kernel refuses it in some place
	open  []string // no answer, or a place where it was not tested
}

func (m ranked) safe() int { return len(m.holds) + len(m.idle) }

// ranking has the watches that are not plain, the best first: fewest failures,
// then most kernels on which it is safe, then fewest where it is missing.
func (f *finder) ranking() []ranked {
	var out []ranked
	for _, w := range f.watches {
		if f.cat.IsPlain(w) {
			continue
		}
		m := ranked{watch: w}
		for _, k := range f.kernels {
			if k.answered() {
				m.count(f, k)
			}
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b ranked) int {
		return cmp.Or(
			cmp.Compare(len(a.fails), len(b.fails)), cmp.Compare(b.safe(), a.safe()),
			cmp.Compare(len(b.holds), len(a.holds)), cmp.Compare(len(a.gone), len(b.gone)),
		)
	})
	return out
}

// answered says that some cell of the kernel has a firm verdict.
func (k orderedKernel) answered() bool {
	return slices.ContainsFunc(k.verdicts, func(v Verdict) bool {
		return v.Kind != VerdictInconclusive && v.Kind != VerdictError
	})
}

func (m *ranked) count(f *finder, k orderedKernel) {
	seen := map[VerdictKind]bool{}
	untested, places := false, 0
	for _, p := range f.places {
		verdicts, ok := k.at[p]
		if !ok {
			continue
		}
		v, ok := verdicts[m.watch.Name]
		places++
		if !ok { // what a mitigation does at the natural rate decides nothing
			untested = untested || f.affected[k.run.Kernel][p] && !f.cat.Scenarios[p.scenario].Natural
			continue
		}
		seen[v.Kind] = true
	}
	name := k.label()
	switch {
	case places == 0:
	case seen[VerdictAffected]:
		m.fails = append(m.fails, name)
	case seen[VerdictUnsupported]:
		m.gone = append(m.gone, name)
	case seen[VerdictInconclusive] || seen[VerdictError] || untested || len(seen) == 0:
		m.open = append(m.open, name)
	case seen[VerdictHolds]:
		m.holds = append(m.holds, name)
	default:
		m.idle = append(m.idle, name)
	}
}

// advice says in plain words what an application that must run on all of these
// kernels can do. There is none where no plain watch is affected.
func (f *finder) advice(ranking []ranked) []Finding {
	var hit []string
	for _, k := range f.kernels {
		if len(f.affected[k.run.Kernel]) > 0 {
			hit = append(hit, k.run.Kernel)
		}
	}
	if len(hit) == 0 {
		return nil
	}
	all := 0
	for _, k := range f.kernels {
		if k.answered() {
			all++
		}
	}
	kernels := plural(all, "kernel")
	if silent := len(f.kernels) - all; silent > 0 {
		kernels += fmt.Sprintf(" (%d without any answer left out)", silent)
	}
	var everywhere, rest []string
	for _, m := range ranking {
		if m.safe() == all && len(m.holds) > 0 {
			text := m.watch.Name
			if doc := f.cat.Checks[m.watch.Check].Doc; doc != "" && m.watch.Check != "open" {
				text += " (" + doc + ")"
			}
			everywhere = append(everywhere, text)
			continue
		}
		rest = append(rest, m.shortfall(all))
	}
	text := fmt.Sprintf("Of %s, %d can hand out a deleted file after its event. An application that must run on all of them", kernels, len(hit))
	switch len(everywhere) {
	case 0:
		text += " finds no tested mitigation that covers every one"
	case 1:
		text += " should use " + everywhere[0] + ": it covers every one"
	default:
		text += " should use " + strings.Join(everywhere, ", or ") + ": each covers every one"
	}
	out := []Finding{{Kind: FindingAdvice, Kernels: hit, Text: text}}
	if len(rest) > 0 {
		out = append(out, Finding{Kind: FindingAdvice, Kernels: hit, Text: "Not enough by themselves: " + strings.Join(rest, "; ")})
	}
	return out
}

// shortfall says where a mitigation does not do: "TARGET_FID is missing on 3".
func (m ranked) shortfall(all int) string {
	var parts []string
	for _, p := range []struct {
		kernels []string
		what    string
	}{{m.fails, "fails on"}, {m.gone, "is missing on"}, {m.open, "has no full answer on"}} {
		if len(p.kernels) > 0 {
			parts = append(parts, fmt.Sprintf("%s %d of %d (%s)", p.what, len(p.kernels), all, someOf(p.kernels)))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "never had anything to hold against")
	}
	return m.watch.Name + " " + strings.Join(parts, ", ")
}

// maxNamed bounds how many kernels a sentence names.
const maxNamed = 4

func someOf(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s, … %s", strings.Join(names[:maxNamed-1], ", "), names[len(names)-1])
}
