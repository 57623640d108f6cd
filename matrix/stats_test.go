package matrix

import (
	"math"
	"testing"
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

// blocksOf spreads count of n over equal blocks.
func blocksOf(blocks, count, n int) []Tally {
	out := make([]Tally, blocks)
	for i := range out {
		out[i] = Tally{count*(i+1)/blocks - count*i/blocks, n*(i+1)/blocks - n*i/blocks}
	}
	return out
}

func TestRuledOutComesToTheRuleOfThree(t *testing.T) {
	// Many blocks are as good as independent trials: 3/n at 95 %.
	if got := RuledOut(blocksOf(3000, 0, 3000), 0.95); !near(got, 0.001, 1e-6) {
		t.Errorf("0 of 3000 in 3000 blocks rules out %g, want 0.001", got)
	}
	// Few blocks rule out less. One block: (1 + n·r)⁻¹ = 0.05.
	for _, c := range []struct {
		blocks, n int
		want      float64
	}{{1, 1000, 0.019}, {4, 3000, 4 * (math.Pow(0.05, -0.25) - 1) / 3000}, {1, 19, 1}, {1, 0, 1}} {
		if got := RuledOut(blocksOf(c.blocks, 0, c.n), 0.95); !near(got, c.want, 1e-6) {
			t.Errorf("0 of %d in %d blocks rules out %g, want %g", c.n, c.blocks, got, c.want)
		}
	}
	if got := RuledOut(nil, 0.95); got != 1 {
		t.Errorf("nothing rules out %g", got)
	}
}

func TestNeededIsWhatTheStopperCollects(t *testing.T) {
	for _, limit := range []float64{1e-4, 0.001, 0.01, 0.3, 0.999} {
		for _, confidence := range []float64{0.6, 0.95, 0.999} {
			s := NewStopper(Sampling{DetectionLimit: limit, Confidence: confidence}, false, false)
			var blocks []Block
			for s.Stop(blocks) == "" && len(blocks) < maxBlocks {
				var b Block
				for !s.Full(len(blocks), b.Counts) {
					b.Trials++
					b.Contested++
					b.Decisive++
				}
				blocks = append(blocks, b)
			}
			evidence := tally(blocks, unnoticedOfDecisive)
			if got := RuledOut(evidence, confidence); s.Stop(blocks) != StopRuledOut || got > limit || effectiveBlocks(evidence) < minSpread {
				t.Errorf("limit %g at %g: %q after %d blocks with %g ruled out", limit, confidence, s.Stop(blocks), len(blocks), got)
			}
			if n := Needed(limit, confidence); n-sum(evidence).Of > s.rest || sum(evidence).Of-n > s.rest {
				t.Errorf("limit %g at %g: needed %d, collected %d", limit, confidence, n, sum(evidence).Of)
			}
		}
	}
	if n := Needed(0.001, 0.95); n != 3280 {
		t.Errorf("Needed(0.1 %%, 95 %%) = %d, want 3280", n)
	}
}

// Source: Korn and Graubard's formula, worked out by hand: 8 blocks that do not
// differ, t₇(0.975) = 2.3646, z = 1.9600, so 128 trials are worth 87.95.
func TestClusteredIntervalCountsBlocks(t *testing.T) {
	lo, hi := ClusteredInterval(blocksOf(8, 128, 128), 0.95)
	if want := math.Pow(0.025, 1/87.94); !near(lo, want, 1e-4) || hi != 1 {
		t.Errorf("128 of 128 in 8 blocks: [%.4f, %.4f], want [%.4f, 1]", lo, hi, want)
	}
	even := blocksOf(8, 64, 128)
	uneven := []Tally{{16, 16}, {0, 16}, {16, 16}, {0, 16}, {16, 16}, {0, 16}, {16, 16}, {0, 16}}
	elo, ehi := ClusteredInterval(even, 0.95)
	ulo, uhi := ClusteredInterval(uneven, 0.95)
	if !(ulo < elo-0.1 && uhi > ehi+0.1) {
		t.Errorf("blocks that differ give [%.2f, %.2f], the same ones [%.2f, %.2f]", ulo, uhi, elo, ehi)
	}
	if lo, hi := ClusteredInterval([]Tally{{64, 128}}, 0.95); lo != 0 || hi != 1 {
		t.Errorf("one block: [%g, %g], want [0, 1]", lo, hi)
	}
}

func TestIntervalsStayWithinZeroAndOne(t *testing.T) {
	for blocks := range 6 {
		for n := range 40 {
			for count := range n + 1 {
				all := blocksOf(blocks+1, count, n)
				lo, hi := Interval(all, 0.95)
				rate := 0.0
				if n > 0 {
					rate = float64(count) / float64(n)
				}
				if !(0 <= lo && lo <= rate && rate <= hi && hi <= 1) {
					t.Errorf("%d/%d in %d blocks: [%g, %g]", count, n, blocks+1, lo, hi)
				}
			}
		}
	}
}

func TestClusteredIntervalIsNeverNarrowerThanTheExactOne(t *testing.T) {
	for _, c := range [][3]int{{8, 128, 128}, {8, 100, 128}, {24, 3, 3280}, {72, 50, 13120}, {8, 1, 128}} {
		lo, hi := ClusteredInterval(blocksOf(c[0], c[1], c[2]), 0.95)
		flo, fhi := FixedInterval(c[1], c[2], 0.95)
		if lo > flo || hi < fhi {
			t.Errorf("%d/%d: [%g, %g] within [%g, %g]", c[1], c[2], lo, hi, flo, fhi)
		}
	}
}
