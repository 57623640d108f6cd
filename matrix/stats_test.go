package matrix

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// Source: R. G. Newcombe, "Two-sided confidence intervals for the single
// proportion", Statistics in Medicine 17 (1998) 857–872, table I, method 5
// (Clopper–Pearson), 95 %.
func TestFixedIntervalMatchesPublishedValues(t *testing.T) {
	for _, c := range []struct {
		count, n int
		lo, hi   float64
	}{
		{81, 263, 0.2527, 0.3676},
		{15, 148, 0.0578, 0.1617},
		{0, 20, 0, 0.1684},
		{1, 29, 0.0009, 0.1776},
		{20, 20, 0.8316, 1},
	} {
		lo, hi := FixedInterval(c.count, c.n, 0.95)
		if !near(lo, c.lo, 5e-5) || !near(hi, c.hi, 5e-5) {
			t.Errorf("%d/%d: [%.4f, %.4f], want [%.4f, %.4f]", c.count, c.n, lo, hi, c.lo, c.hi)
		}
	}
}

func TestRuledOutMatchesTheRuleOfThree(t *testing.T) {
	for _, c := range []struct {
		n    int
		want float64
	}{{0, 1}, {1, 0.95}, {10, 0.2589}, {2995, 0.00099977}, {2994, 0.0010001}} {
		if got := RuledOut(c.n, 0.95); !near(got, c.want, 5e-5*max(c.want, 1e-3)+1e-8) && !near(got, c.want, 5e-5) {
			t.Errorf("RuledOut(%d) = %g, want %g", c.n, got, c.want)
		}
	}
	for _, limit := range []float64{1e-6, 1e-4, 0.001, 0.01, 0.3, 0.999} {
		for _, conf := range []float64{0.6, 0.95, 0.999} {
			n := Needed(limit, conf)
			if RuledOut(n, conf) > limit*(1+1e-9) || n > 1 && RuledOut(n-1, conf) <= limit {
				t.Errorf("Needed(%g, %g) = %d is not the smallest", limit, conf, n)
			}
		}
	}
	if n := Needed(0.001, 0.95); n != 2995 {
		t.Errorf("Needed(0.1 %%, 95 %%) = %d, want 2995", n)
	}
}

// The chance of needing n or more, or n or fewer, trials for count successes
// must be the tail at the limits. That chance is a negative binomial sum.
func TestInverseIntervalLeavesTheTailsOutside(t *testing.T) {
	pmf := func(count, n int, p float64) float64 { // the count-th success is trial n
		a, _ := math.Lgamma(float64(n))
		b, _ := math.Lgamma(float64(count))
		c, _ := math.Lgamma(float64(n - count + 1))
		return math.Exp(a - b - c + float64(count)*math.Log(p) + float64(n-count)*math.Log1p(-p))
	}
	for _, c := range []struct{ count, n int }{{1, 5}, {3, 10}, {128, 130}, {128, 400}, {128, 11000}} {
		lo, hi := InverseInterval(c.count, c.n, 0.95)
		atMost, less := 0.0, 0.0
		for n := c.count; n <= c.n; n++ {
			atMost += pmf(c.count, n, lo)
			if n < c.n {
				less += pmf(c.count, n, hi)
			}
		}
		if !near(atMost, 0.025, 1e-6) || !near(1-less, 0.025, 1e-6) {
			t.Errorf("%d in %d: P(N ≤ n | lo) = %.6f, P(N ≥ n | hi) = %.6f, want 0.025", c.count, c.n, atMost, 1-less)
		}
		flo, fhi := FixedInterval(c.count, c.n, 0.95)
		if flo > lo+1e-12 || fhi < hi-1e-12 {
			t.Errorf("%d in %d: the fixed interval does not contain the inverse one", c.count, c.n)
		}
	}
	if lo, hi := InverseInterval(128, 128, 0.95); !near(lo, 0.9716, 5e-5) || hi != 1 {
		t.Errorf("128 in 128: [%.4f, %.4f], want [0.9716, 1]", lo, hi)
	}
}

func TestIntervalsStayWithinZeroAndOne(t *testing.T) {
	for n := range 60 {
		for count := range n + 1 {
			for _, stop := range []StopReason{StopAffected, StopRuledOut, ""} {
				lo, hi := Interval(count, n, 0.95, stop)
				rate := 0.0
				if n > 0 {
					rate = float64(count) / float64(n)
				}
				if !(0 <= lo && lo <= rate && rate <= hi && hi <= 1) {
					t.Errorf("%d/%d %q: [%g, %g]", count, n, stop, lo, hi)
				}
			}
		}
	}
}

// simulate runs one cell through the Stopper. decisive is the share of
// decisive trials; the others are stale at half the rate.
func simulate(rng *rand.Rand, s Stopper, rate, decisive float64) (Counts, StopReason) {
	var c Counts
	for {
		c.Trials++
		c.Contested++
		p := rate / 2
		if decisive == 1 || rng.Float64() < decisive {
			c.Decisive++
			p = rate
		}
		if p > 0 && rng.Float64() < p {
			c.Stale++
			if p == rate {
				c.StaleDecisive++
			}
		}
		if stop := s.Stop(c, 0); stop != "" {
			return c, stop
		}
	}
}

// The composite stopping rule must not spoil the intervals: an interval misses
// the rate, and a clean verdict comes at a rate at the detection limit, with a
// chance of at most 5 % each.
func TestStoppingRuleKeepsCoverage(t *testing.T) {
	const (
		limit, confidence = 0.001, 0.95
		sigmas            = 3.5 // of the Monte-Carlo error
	)
	s := Stopper{Needed: Needed(limit, confidence), MaxTime: time.Second}
	for _, c := range []struct {
		rate     float64
		decisive float64
		cells    int
	}{
		{0, 1, 100},
		{0.0005, 1, 500},
		{0.001, 1, 600},
		{0.0012, 0.7, 400},
		{0.01, 1, 500},
		{0.01, 0.7, 400},
		{0.011, 1, 500}, // the target and the last trial are equally near
		{0.5, 1, 5000},
		{0.5, 0.7, 5000},
		{0.95, 1, 5000},
		{0.95, 0.7, 5000},
		{1, 1, 1000},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		missed, clean := 0, 0
		for range c.cells {
			n, stop := simulate(rng, s, c.rate, c.decisive)
			if n.Stale == 0 && n.Decisive >= s.Needed {
				clean++
				if RuledOut(n.Decisive, confidence) > limit {
					t.Fatalf("clean after %d decisive trials", n.Decisive)
				}
				continue
			}
			if n.StaleDecisive == 0 {
				continue // shown as stale of all trials
			}
			if lo, hi := Interval(n.StaleDecisive, n.Decisive, confidence, stop); c.rate < lo || c.rate > hi {
				missed++
			}
		}
		allowed := func(p float64) int {
			n := float64(c.cells)
			return int(n*p + sigmas*math.Sqrt(n*p*(1-p)))
		}
		if missed > allowed(1-confidence) {
			t.Errorf("rate %g: the interval misses %d of %d times", c.rate, missed, c.cells)
		}
		if c.rate >= limit && clean > allowed(1-confidence) {
			t.Errorf("rate %g: %d of %d cells clean", c.rate, clean, c.cells)
		}
		if c.rate == 0 && clean != c.cells {
			t.Errorf("rate 0: only %d of %d cells clean", clean, c.cells)
		}
		t.Logf("rate %g, %g decisive: interval misses %.2f %%, clean %.2f %%", c.rate, c.decisive,
			100*float64(missed)/float64(c.cells), 100*float64(clean)/float64(c.cells))
	}
}
