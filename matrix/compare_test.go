package matrix

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func judgedCell(watch string, kind VerdictKind, count, of int) Judged {
	return Judged{
		Cell:    Cell{Kernel: "k", Filesystem: "tmpfs", Scenario: "unlink", Watch: Watch{Name: watch}},
		Verdict: Verdict{Kind: kind, Count: count, Of: of},
	}
}

func kindsOf(c Comparison) []DiffKind {
	var out []DiffKind
	for _, d := range c.Differences {
		out = append(out, d.Kind)
	}
	return out
}

func TestFisherExactAgreesWithTheLiterature(t *testing.T) {
	for _, c := range []struct {
		a, n, b, m int
		want       float64
	}{
		{3, 4, 1, 4, 0.485714}, // Fisher's tea: 34/70
		{4, 4, 0, 4, 0.028571}, // 2/70
		{1, 10, 9, 10, 0.001093},
		{0, 5, 0, 5, 1},
		{128, 128, 128, 128, 1},
		{10, 12, 10, 12, 1},
	} {
		if got := FisherExact(c.a, c.n, c.b, c.m); math.Abs(got-c.want) > 1e-5 {
			t.Errorf("%d/%d against %d/%d: %g, want %g", c.a, c.n, c.b, c.m, got, c.want)
		}
	}
}

func TestCompareNamesEveryKindOfChange(t *testing.T) {
	before := []Judged{
		judgedCell("worse", VerdictClean, 0, 2995), judgedCell("lost", VerdictHolds, 0, 2995),
		judgedCell("better", VerdictAffected, 128, 128), judgedCell("rate", VerdictAffected, 128, 128),
		judgedCell("same", VerdictAffected, 127, 128), judgedCell("gone", VerdictClean, 0, 2995), judgedCell("changed", VerdictClean, 0, 2995),
	}
	after := []Judged{
		judgedCell("worse", VerdictAffected, 3, 2995), judgedCell("lost", VerdictInconclusive, 0, 10),
		judgedCell("better", VerdictClean, 0, 2995), judgedCell("rate", VerdictAffected, 128, 4000),
		judgedCell("same", VerdictAffected, 128, 128), judgedCell("added", VerdictClean, 0, 2995), judgedCell("changed", VerdictHolds, 0, 2995),
	}
	c := Compare(before, after, 0.05)
	c.CompareProvenance(
		[]KernelRun{{Kernel: "k", Provenance: Provenance{Version: "6.1.170-1"}}},
		[]KernelRun{{Kernel: "k", Provenance: Provenance{Version: "6.1.176-1"}}},
	)
	want := []DiffKind{DiffWorse, DiffWorse, DiffBetter, DiffRate, DiffChanged, DiffGone, DiffAdded, DiffProvenance}
	if got := kindsOf(c); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: %+v", got, want, c.Differences)
	}
	if c.Common != 6 || c.Tested != 2 {
		t.Errorf("%d common and %d tested, want 6 and 2", c.Common, c.Tested)
	}
	if got := c.Differences[len(c.Differences)-1].Text; got != "k: version 6.1.170-1 → 6.1.176-1" {
		t.Errorf("provenance says %q", got)
	}
}

func TestEqualRunsDoNotDiffer(t *testing.T) {
	cells := []Judged{judgedCell("a", VerdictAffected, 100, 128), judgedCell("b", VerdictClean, 0, 2995)}
	if c := Compare(cells, cells, 0.05); len(c.Differences) > 0 {
		t.Errorf("got %+v", c.Differences)
	}
}

// With 100 cells whose rate did not change, a test of each at 5 % would call
// about five of them changed; corrected, a whole comparison errs in at most 5 %.
func TestManyCellsDoNotMakeFalseChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func() []Judged {
		var out []Judged
		for i := range 100 {
			n := 0
			for range 60 {
				if rng.Float64() < 0.6 {
					n++
				}
			}
			out = append(out, judgedCell(fmt.Sprint(i), VerdictAffected, n, 60))
		}
		return out
	}
	const runs = 30
	wrong, uncorrected := 0, 0
	for range runs {
		before, after := draw(), draw()
		if len(Compare(before, after, 0.05).Differences) > 0 {
			wrong++
		}
		for i := range before {
			if FisherExact(before[i].Verdict.Count, 60, after[i].Verdict.Count, 60) <= 0.05 {
				uncorrected++
			}
		}
	}
	if wrong > 5 { // Binomial(30, 0.05) is above 5 with a chance of 0.3 %
		t.Errorf("%d of %d comparisons found a change where there was none", wrong, runs)
	}
	if uncorrected < runs {
		t.Errorf("only %d uncorrected tests erred; this test cannot tell whether correction matters", uncorrected)
	}
}
