package matrix

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// DiffKind says what changed.
type DiffKind string

// The kinds of a Difference, the gravest first.
const (
	DiffWorse      DiffKind = "worse"      // a firm answer turned bad, or was lost
	DiffBetter     DiffKind = "better"     // a bad answer turned good, or one was gained
	DiffFlapping   DiffKind = "flapping"   // the same image answered differently from night to night
	DiffRate       DiffKind = "rate"       // the same verdict, at a rate that differs by more than chance
	DiffChanged    DiffKind = "changed"    // another verdict, neither better nor worse
	DiffUnlike     DiffKind = "unlike"     // other answers under other conditions: no conclusion
	DiffGone       DiffKind = "gone"       // the old run has the cell, the new one has not
	DiffAdded      DiffKind = "added"      // the new run has the cell, the old one has not
	DiffProvenance DiffKind = "provenance" // the kernel that was booted is another one
)

// Difference is one change between two runs.
type Difference struct {
	Kind DiffKind `json:"kind"`
	Cell string   `json:"cell,omitempty"` // ID; "" where it is about a kernel
	Text string   `json:"text"`
	// Change is what it means for somebody who qualifies a kernel.
	Change Meaning `json:"change,omitempty"`
	// P is the chance of a difference in rate at least this unlikely if nothing
	// changed, corrected for the number of cells that were compared; only for
	// DiffRate.
	P float64 `json:"p,omitempty"`
}

// Judged is a cell with its verdict.
type Judged struct {
	Cell    Cell
	Verdict Verdict
	Under   Conditions
}

// Comparison is what Compare found.
type Comparison struct {
	Differences []Difference `json:"differences"`
	Common      int          `json:"common"` // cells that both runs have
	Tested      int          `json:"tested"` // of these, pairs of rates that were compared
	Alpha       float64      `json:"alpha"`  // chance of a false DiffRate anywhere in the comparison
	// Unlike counts the cells that were measured under other conditions: their
	// rates are not compared.
	Unlike          int      `json:"unlike"`
	StillAffected   []string `json:"still_affected"`   // cells, in both runs
	NewKernels      []string `json:"new_kernels"`      // with a cell in the new run alone
	VanishedKernels []string `json:"vanished_kernels"` // with a cell in the old run alone
}

// Compare says what changed from one run to another. alpha bounds the chance
// that any rate is called changed while none is: the exact test of each cell is
// corrected by Holm's method over all that are tested.
//
// Like is compared with like only: under other [Conditions] a rate is another
// rate, and a zero no proof that something was fixed. What is proven under any
// conditions is said all the same: a stale open, and the loss of an answer.
//
// A change of verdict is reported as it is: each verdict has its own confidence,
// and a comparison must not hide that a gate would answer otherwise.
func Compare(oldCells, newCells []Judged, alpha float64) Comparison {
	out := Comparison{
		Alpha: alpha, Differences: []Difference{}, StillAffected: []string{},
		NewKernels: kernelsOnlyIn(newCells, oldCells), VanishedKernels: kernelsOnlyIn(oldCells, newCells),
	}
	was := map[string]Judged{}
	for _, j := range oldCells {
		was[j.Cell.ID()] = j
	}
	is := map[string]bool{}
	type pair struct {
		id       string
		old, new Verdict
		p        float64
	}
	var pairs []pair
	for _, j := range newCells {
		id := j.Cell.ID()
		is[id] = true
		before, ok := was[id]
		o, n := before.Verdict, j.Verdict
		alike := before.Under.Like(j.Under)
		if ok {
			out.Common++
			if !alike {
				out.Unlike++
			}
			if o.Kind == VerdictAffected && n.Kind == VerdictAffected {
				out.StillAffected = append(out.StillAffected, id)
			}
		}
		switch {
		case !ok:
			out.add(DiffAdded, id, VerdictText(n))
		case !alike && !provenAnyway(o.Kind, n.Kind):
			if o.Kind != n.Kind {
				out.add(DiffUnlike, id, fmt.Sprintf("%s → %s, but under %s", VerdictText(o), VerdictText(n), before.Under.changes(j.Under)))
			}
		case natural(o, n) && alike:
			// A zero beside a few stale opens is chance until a test says otherwise.
			pairs = append(pairs, pair{id, o, n, FisherExact(o.Count, o.Of, n.Count, n.Of)})
		case o.Kind != n.Kind:
			out.Differences = append(out.Differences, Difference{
				Kind: changeKind(o.Kind, n.Kind), Cell: id, Text: VerdictText(o) + " → " + VerdictText(n), Change: changeOf(o.Kind, n.Kind),
			})
		default:
			if o.Of > 0 && n.Of > 0 && o.Kind == VerdictAffected {
				pairs = append(pairs, pair{id, o, n, FisherExact(o.Count, o.Of, n.Count, n.Of)})
			}
		}
	}
	for _, j := range oldCells {
		if id := j.Cell.ID(); !is[id] {
			out.add(DiffGone, id, "was "+VerdictText(j.Verdict))
		}
	}
	out.Tested = len(pairs)
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.p, b.p) })
	corrected := 0.0
	for i, p := range pairs {
		// Holm: the smallest of m is multiplied by m, the next by m-1, and none
		// may come out below the one before.
		corrected = max(corrected, min(1, p.p*float64(len(pairs)-i)))
		if corrected > alpha {
			break
		}
		out.Differences = append(out.Differences, Difference{
			Kind: DiffRate, Cell: p.id, P: corrected,
			Text: fmt.Sprintf("%s → %s, p = %.2g", VerdictText(p.old), VerdictText(p.new), corrected),
		})
	}
	out.sort()
	return out
}

// natural says whether two answers of a natural scenario differ in kind, and so
// in rate alone.
func natural(o, n Verdict) bool {
	zero, some := o, n
	if n.Kind == VerdictNatural {
		zero, some = n, o
	}
	return zero.Kind == VerdictNatural && some.Kind == VerdictAffected && zero.Of > 0 && some.Of > 0
}

// CompareProvenance adds the kernels that have the same name and are not the
// same image, as far as the runs say.
func (c *Comparison) CompareProvenance(oldRuns, newRuns []KernelRun) {
	was := map[string]KernelRun{}
	for _, r := range oldRuns {
		was[r.Kernel] = r
	}
	for _, n := range newRuns {
		o, ok := was[n.Kernel]
		if !ok {
			continue
		}
		var parts []string
		part := func(what, before, after string) {
			if before != after && before != "" && after != "" {
				parts = append(parts, fmt.Sprintf("%s %s → %s", what, before, after))
			}
		}
		part("version", o.Provenance.Version, n.Provenance.Version)
		part("image", shortSum(o.Provenance.SHA256), shortSum(n.Provenance.SHA256))
		part("patches", o.Provenance.Details[DetailPatches], n.Provenance.Details[DetailPatches])
		part("architecture", o.Provenance.Arch, n.Provenance.Arch)
		part("accelerator", lastBoot(o).Accel, lastBoot(n).Accel)
		part("CPU model", lastBoot(o).CPUModel, lastBoot(n).CPUModel)
		part("QEMU", lastBoot(o).QEMU, lastBoot(n).QEMU)
		if len(parts) > 0 {
			c.Differences = append(c.Differences, Difference{Kind: DiffProvenance, Text: n.Kernel + ": " + strings.Join(parts, ", ")})
		}
	}
	c.sort()
}

func (c *Comparison) add(kind DiffKind, id, text string) {
	c.Differences = append(c.Differences, Difference{Kind: kind, Cell: id, Text: text})
}

// DiffKinds lists the kinds, the gravest first.
func DiffKinds() []DiffKind {
	return []DiffKind{DiffWorse, DiffBetter, DiffFlapping, DiffRate, DiffChanged, DiffUnlike, DiffGone, DiffAdded, DiffProvenance}
}

func (c *Comparison) sort() {
	slices.SortStableFunc(c.Differences, func(a, b Difference) int {
		return cmp.Compare(slices.Index(DiffKinds(), a.Kind), slices.Index(DiffKinds(), b.Kind))
	})
}

// changeKind orders two different verdicts: bad news is an affected cell and
// the loss of an answer.
func changeKind(before, after VerdictKind) DiffKind {
	switch b, a := before.worth(), after.worth(); {
	case a < b || before.Firm() && !after.Firm():
		return DiffWorse
	case a > b:
		return DiffBetter
	}
	return DiffChanged
}

// lastBoot is the zero Boot where there was none.
func lastBoot(r KernelRun) Boot {
	if len(r.Boots) == 0 {
		return Boot{}
	}
	return r.Boots[len(r.Boots)-1]
}

func shortSum(s string) string { return s[:min(12, len(s))] }

// FisherExact is the two-sided p value for a of n and b of m having the same
// rate: the chance, given all margins, of a table that is at most as likely as
// this one. Source: R. A. Fisher, "On the interpretation of χ² from contingency
// tables, and the calculation of P", Journal of the Royal Statistical Society
// 85 (1922) 87–94.
func FisherExact(a, n, b, m int) float64 {
	if n <= 0 || m <= 0 || a < 0 || b < 0 || a > n || b > m {
		return 1
	}
	k := a + b // successes in both
	logChoose := func(n, k int) float64 {
		x, _ := math.Lgamma(float64(n + 1))
		y, _ := math.Lgamma(float64(k + 1))
		z, _ := math.Lgamma(float64(n - k + 1))
		return x - y - z
	}
	all := logChoose(n+m, k)
	at := func(i int) float64 { return logChoose(n, i) + logChoose(m, k-i) - all }
	// Tables that are as likely but for rounding count as such.
	limit := at(a) + 1e-7
	p := 0.0
	for i := max(0, k-m); i <= min(n, k); i++ {
		if l := at(i); l <= limit {
			p += math.Exp(l)
		}
	}
	return min(1, p)
}
