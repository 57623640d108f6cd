package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// step is one version on which all kernels that count agree.
type step struct {
	first, last int // kernels
	kind        VerdictKind
}

// boundaries says between which versions a plain watch's answer changes, first
// within every stable series, then along mainline. Only kernels as somebody
// released them count; see onLine. odd are the answers that do not fit.
func (f *finder) boundaries(w Watch, g group) (found, odd []Finding) {
	line, odd := f.line(w, g)
	about := func(kind FindingKind, text string, kernels ...orderedKernel) Finding {
		out := Finding{Kind: kind, Watch: w.Name, Filesystems: g.filesystems, Scenarios: g.scenarios}
		for _, k := range kernels {
			out.Kernels = append(out.Kernels, k.run.Kernel)
		}
		out.Text = fmt.Sprintf("%s on %s: %s", w.Name, g, text)
		return out
	}
	for i := 1; i < len(line); i++ {
		before, after := f.kernels[line[i-1].last], f.kernels[line[i].first]
		if line[i-1].kind == line[i].kind {
			continue
		}
		within := before.version.Series() == after.version.Series()
		switch appears := line[i].kind == VerdictAffected; {
		case appears && within:
			odd = append(odd, about(FindingContradiction, fmt.Sprintf(
				"clean on %s, but affected on the later %s of the same series", before.label(), after.label(),
			), before, after))
		case appears && changeRegression.Carrier(before.version) != "" && changeFix.Carrier(before.version) != "" && changeFix.Carrier(after.version) == "":
			// The older kernel has the fix as a backport; nothing appeared here.
		case appears:
			found = append(found, about(FindingBoundary, fmt.Sprintf(
				"appears between %s and %s%s%s", before.label(), after.label(),
				untested(before, after), placed(changeRegression, before, after, g),
			), before, after))
		case within:
			found = append(found, about(FindingBoundary, fmt.Sprintf(
				"gone within %s between %s and %s%s", after.version.Series(), before.label(), after.label(),
				placed(changeFix, before, after, g),
			), before, after))
		default:
			found = append(found, about(FindingBoundary, fmt.Sprintf(
				"gone between %s and %s%s%s", before.label(), after.label(),
				untested(before, after), placed(changeFix, before, after, g),
			), before, after))
		}
	}
	return found, odd
}

// line has one step per version on which all kernels of that version agree,
// oldest first; versions on which they do not are contradictions.
func (f *finder) line(w Watch, g group) (line []step, odd []Finding) {
	for i := 0; i < len(f.kernels); {
		next := i
		var kinds []VerdictKind
		var members []int
		for ; next < len(f.kernels) && f.kernels[next].known == f.kernels[i].known &&
			f.kernels[next].version.Compare(f.kernels[i].version) == 0; next++ {
			if k := g.kinds[next]; f.kernels[next].onLine() && (k == VerdictAffected || k == VerdictClean) {
				kinds = append(kinds, k)
				members = append(members, next)
			}
		}
		i = next
		if len(members) == 0 {
			continue
		}
		if len(slices.Compact(slices.Clone(kinds))) == 1 {
			line = append(line, step{members[0], members[len(members)-1], kinds[0]})
			continue
		}
		var parts, names []string
		for n, m := range members {
			parts = append(parts, fmt.Sprintf("%s on %s", kinds[n], f.kernels[m].label()))
			names = append(names, f.kernels[m].run.Kernel)
		}
		odd = append(odd, Finding{
			Kind: FindingContradiction, Watch: w.Name, Filesystems: g.filesystems, Scenarios: g.scenarios, Kernels: names,
			Text: fmt.Sprintf("%s on %s: kernels of the same version disagree: %s", w.Name, g, strings.Join(parts, ", ")),
		})
	}
	return line, odd
}

// untested names the mainline releases between two kernels of different series.
func untested(before, after orderedKernel) string {
	gap := seriesBetween(before.version.Series(), after.version.Series())
	switch len(gap) {
	case 0:
		return ""
	case 1, 2, 3:
		return fmt.Sprintf(" (%s untested between)", listed(gap))
	}
	return fmt.Sprintf(" (%s … %s untested between, %d releases)", gap[0], gap[len(gap)-1], len(gap))
}

// placed says where a known change lies between two kernels, or that none does.
func placed(c Change, before, after orderedKernel, g group) string {
	if !factsApply(g.filesystems[0], g.scenarios[0]) {
		return ""
	}
	carrier := c.Carrier(after.version)
	if carrier == "" || c.Carrier(before.version) != "" {
		return ""
	}
	return fmt.Sprintf("; known: %s in %s", c.Commit, carrier)
}

// againstFacts says where kernels do not do what their version promises, and
// which have what mainline of their version has not. Kernels with the same
// backports share a sentence.
func (f *finder) againstFacts() []Finding {
	var odd, backports []Finding
	var backported []string // what the kernels of each of backports have
	var labels [][]string
	agree, compared := 0, 0
	for _, k := range f.kernels {
		fact := f.fact(k)
		if fact.Expected != "" && fact.Observed != "" {
			compared++
			if !fact.Contradicts {
				agree++
			}
		}
		if fact.Contradicts && len(fact.Backports) == 0 {
			odd = append(odd, Finding{
				Kind: FindingContradiction, Kernels: []string{fact.Kernel},
				Text: fmt.Sprintf("%s is %s, but its version promises %s (%s)", k.label(), fact.Observed, fact.Expected, fact.Why),
			})
		}
		if len(fact.Backports) == 0 {
			continue
		}
		what := listed(fact.Backports)
		i := slices.Index(backported, what)
		if i < 0 {
			i = len(backports)
			backported, labels = append(backported, what), append(labels, nil)
			backports = append(backports, Finding{Kind: FindingBackport})
		}
		backports[i].Kernels = append(backports[i].Kernels, fact.Kernel)
		labels[i] = append(labels[i], k.label())
	}
	for i, what := range backported {
		text := " behaves as mainline of its version does not: it has "
		if len(labels[i]) > 1 {
			text = " behave as mainline of their versions does not: they have "
		}
		backports[i].Text = listed(labels[i]) + text + what
	}
	out := slices.Concat(odd, backports)
	if compared > 0 && agree == compared {
		out = append(out, Finding{
			Kind: FindingConfidence,
			Text: fmt.Sprintf("Known facts: what %s did is what its version promises", eachOf(compared, "unpatched kernel")),
		})
	}
	return out
}

// eachOf is "the only kernel" or "each of 3 kernels".
func eachOf(n int, noun string) string {
	if n == 1 {
		return "the only " + noun
	}
	return "each of " + plural(n, noun)
}
