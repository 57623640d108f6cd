package reports

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"kqual/matrix"
)

// chartRate is the rate of a watch on a kernel, at the place where it is
// highest; where all are zero, where the interval is widest.
type chartRate struct {
	kernel int // index in Report.Kernels
	matrix.Rate
}

func (c chartRate) rate() float64 { return float64(c.Count) / float64(c.Of) }

// chartRates are the rates of a watch in the order of the kernels: those that
// an unmodified application meets, or those with a window made wide.
func (r *Report) chartRates(watch string, natural bool) []chartRate {
	kinds := []matrix.VerdictKind{matrix.VerdictAffected, matrix.VerdictHolds, matrix.VerdictClean}
	if natural {
		kinds = []matrix.VerdictKind{matrix.VerdictAffected, matrix.VerdictNatural}
	}
	at := r.kernelIndex()
	worst := map[int]chartRate{}
	for _, c := range r.Cells {
		v := c.Verdict
		if c.Watch != watch || v.Of == 0 || slices.Contains(r.Natural, c.Scenario) != natural || !slices.Contains(kinds, v.Kind) {
			continue
		}
		p := chartRate{at[c.Kernel], matrix.Rate{Count: v.Count, Of: v.Of, Lo: v.Lo, Hi: v.Hi}}
		old, ok := worst[p.kernel]
		if !ok || cmp.Or(cmp.Compare(p.rate(), old.rate()), cmp.Compare(p.Hi, old.Hi)) > 0 {
			worst[p.kernel] = p
		}
	}
	return inOrder(worst)
}

// chartTime says how long a kernel's cells of one kind took to decide, set-up
// and trials together.
type chartTime struct {
	kernel           int // index in Report.Kernels
	cells            int
	min, median, max time.Duration
}

// deciding are the kinds of cells whose time to a decision is compared.
var deciding = []struct {
	name  string
	kinds []matrix.VerdictKind
}{
	{"affected", []matrix.VerdictKind{matrix.VerdictAffected}},
	{"clean or holds", []matrix.VerdictKind{matrix.VerdictClean, matrix.VerdictHolds}},
	{"inconclusive", []matrix.VerdictKind{matrix.VerdictInconclusive}},
}

// chartTimes are the times of cells with one of the verdicts, in the order of
// the kernels. Natural scenarios run a fixed number of trials and decide
// nothing.
func (r *Report) chartTimes(kinds []matrix.VerdictKind) []chartTime {
	at := r.kernelIndex()
	took := map[int][]time.Duration{}
	for _, c := range r.Cells {
		if c.Numbers != nil && c.Numbers.Decision > 0 && slices.Contains(kinds, c.Verdict.Kind) && !slices.Contains(r.Natural, c.Scenario) {
			took[at[c.Kernel]] = append(took[at[c.Kernel]], c.Numbers.Decision)
		}
	}
	times := map[int]chartTime{}
	for k, list := range took {
		slices.Sort(list)
		times[k] = chartTime{k, len(list), list[0], list[len(list)/2], list[len(list)-1]}
	}
	return inOrder(times)
}

func (r *Report) kernelIndex() map[string]int {
	at := make(map[string]int, len(r.Kernels))
	for i, k := range r.Kernels {
		at[k.Kernel] = i
	}
	return at
}

// inOrder are the values of m by key.
func inOrder[T any](m map[int]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
