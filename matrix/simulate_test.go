package matrix

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// simulation is a kind of cell that exists only as probabilities.
type simulation struct {
	// sensitivity is the mean rate of unnoticed stale opens in trials that are
	// decisive: 0 for a fixed kernel or a check that holds.
	sensitivity float64
	// sentinel is the share of the trials which the guest calls decisive that
	// are; the others are never stale. 1 is a sentinel in the right place.
	sentinel float64
	// spread is the squared coefficient of variation between blocks, of the
	// rate or of its complement, whichever is smaller. The variance between
	// blocks is at most maxICC of the whole.
	spread   float64
	decisive float64 // share of the trials that the guest calls decisive
	cells    int
}

// maxICC is the largest intraclass correlation that is simulated. Measured on
// affected 5.10 with 4 extra groups, where one trial in forty is decisive: 0.28.
const maxICC = 0.3

func (s simulation) String() string {
	return fmt.Sprintf("sensitivity %g, sentinel right in %g, spread %g, %g decisive", s.sensitivity, s.sentinel, s.spread, s.decisive)
}

// rate is the mean rate in what the guest calls decisive trials.
func (s simulation) rate() float64 { return s.sensitivity * s.sentinel }

// clustered draws the rate of one block.
func clustered(rng *rand.Rand, rate, spread float64) float64 {
	minor := min(rate, 1-rate)
	if spread == 0 || minor == 0 {
		return rate
	}
	icc := min(spread*minor/(1-minor), maxICC)
	scale := (1 - icc) / icc
	r := distuv.Beta{Alpha: minor * scale, Beta: (1 - minor) * scale, Src: rng}.Rand()
	if rate > 0.5 {
		return 1 - r
	}
	return r
}

// outcome runs a cell through the Stopper, as the guest does. staleRate is the
// rate of stale opens in decisive trials; where it is not 0, the check looks at
// what was opened, and sensitivity is how often it is wrong.
func (s simulation) outcome(rng *rand.Rand, stopper Stopper, staleRate float64) *Outcome {
	o := &Outcome{Status: Measured}
	for o.Stop == "" {
		stale, missed := clustered(rng, s.rate(), s.spread), 1.0
		if staleRate > 0 {
			stale, missed = staleRate, stale
		}
		var b Block
		for !stopper.Full(len(o.Blocks), b.Counts) {
			b.Trials++
			if s.decisive == 1 || rng.Float64() < s.decisive {
				b.Contested++
				b.Decisive++
			}
		}
		draw := func(n int, rate float64) int {
			if rate == 0 || rate == 1 {
				return n * int(rate)
			}
			return int(distuv.Binomial{N: float64(n), P: rate, Src: rng}.Rand())
		}
		b.StaleDecisive = draw(b.Decisive, stale)
		b.RecognisedDecisive = b.StaleDecisive - draw(b.StaleDecisive, missed)
		// Behind the sentinel, an open comes too late more often.
		behind := draw(b.Trials-b.Decisive, stale/4)
		b.Stale = b.StaleDecisive + behind
		b.Recognised = b.RecognisedDecisive + behind - draw(behind, missed)
		o.Counts.Add(b.Counts)
		o.Blocks = append(o.Blocks, b)
		o.Stop = stopper.Stop(o.Blocks)
	}
	return o
}

// wrongs counts, over simulated cells, what must not happen more often than
// the stated level allows.
type wrongs struct{ n, clean, holds, missed, naive int }

func (w *wrongs) add(o wrongs) {
	w.n, w.clean, w.holds, w.missed, w.naive = w.n+o.n, w.clean+o.clean, w.holds+o.holds, w.missed+o.missed, w.naive+o.naive
}

// allowed is how many of n may be wrong at a level of 1-confidence, with 3.5
// standard deviations of the simulation's own error.
func allowed(n int, confidence float64) int {
	p := 1 - confidence
	return int(float64(n)*p + 3.5*math.Sqrt(float64(n)*p*(1-p)))
}

var simulated = Sampling{Pressure: PressureAuto, DetectionLimit: 0.001, Confidence: 0.95, MaxTime: time.Second}

// judged runs s.cells cells of a kind and has them judged. kind is "plain", a
// "barrier" beside an affected plain watch, or a "recognising" check beside it.
func (s simulation) judged(kind string, seed uint64) wrongs {
	rng := rand.New(rand.NewPCG(seed, 0))
	recognises := kind == "recognising"
	watch := Watch{Name: "IN_DELETE", Source: "inotify", Check: CheckNone, Flags: map[string][]string{"mask": {"IN_DELETE"}}}
	cells := []CellRun{{Cell: Cell{Filesystem: "tmpfs", Scenario: "unlink", Watch: watch}}}
	staleRate := 0.0
	if kind != "plain" {
		plain := simulation{sensitivity: 1, sentinel: 1, decisive: 1}
		cells[0].Outcome = plain.outcome(rng, NewStopper(simulated, false, false), 0)
		watch.Name, watch.Check = kind, "getdents"
		if recognises {
			watch.Check, staleRate = "nlink", 0.98
		}
		cells = append(cells, CellRun{Cell: Cell{Filesystem: "tmpfs", Scenario: "unlink", Watch: watch}})
	}
	last := len(cells) - 1
	// The order witness errs, too: only the numbers can say that it does.
	run := KernelRun{Cells: cells, Witnesses: []Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: Late}}}
	stopper, cat := NewStopper(simulated, recognises, false), testCatalog()
	truth := s.rate() // that the verdict's interval is about
	if recognises {
		truth *= staleRate // unnoticed of decisive
	}
	w := wrongs{n: s.cells}
	for range s.cells {
		o := s.outcome(rng, stopper, staleRate)
		run.Cells[last].Outcome = o
		switch v := Judge(run, simulated, cat)[last]; v.Kind {
		case VerdictClean:
			if s.rate() >= simulated.DetectionLimit {
				w.clean++
			}
		case VerdictHolds:
			if s.rate() >= simulated.DetectionLimit {
				w.holds++
			}
		case VerdictAffected:
			if truth < v.Lo || truth > v.Hi {
				w.missed++
			}
			if lo, hi := FixedInterval(v.Count, v.Of, simulated.Confidence); truth < lo || truth > hi {
				w.naive++
			}
		}
	}
	return w
}

// Over more than 10,000 cells per kind of watch, with trials that cluster in
// blocks, sensitivities from all to one in a thousand, and sentinels that call
// up to 99 of 100 trials decisive that are not: a kernel that is stale at the
// detection limit or above is clean, a mitigation that fails there holds, and a
// displayed interval misses the rate behind it, each in at most 1-confidence of
// all cells.
func TestVerdictsKeepTheirLevelsOverSimulatedCells(t *testing.T) {
	var kinds []simulation
	for _, spread := range []float64{0, 0.3, 1} {
		for _, of := range [][2]float64{ // sensitivity, sentinel
			{1, 1},
			{0.99, 1},
			{0.95, 1},
			{0.8, 1},
			{0.6, 1},
			{0.5, 1},
			{0.3, 1},
			{0.1, 1},
			{0.03, 1},
			{0.01, 1},
			{0.003, 1},
			{0.0012, 1},
			{0.001, 1},
			{1, 0.5},
			{0.9, 0.03},
			{0.82, 0.01},
			{0.1, 0.01}, // wrong sentinels
			{0.0005, 1},
			{0, 1}, // below what a clean verdict must rule out
		} {
			kinds = append(kinds, simulation{sensitivity: of[0], sentinel: of[1], spread: spread, decisive: 1, cells: 180})
		}
		kinds = append(kinds, simulation{sensitivity: 0.9, sentinel: 0.5, spread: spread, decisive: 0.3, cells: 180})
	}
	for k, kind := range []string{"plain", "barrier", "recognising"} {
		t.Run(kind, func(t *testing.T) {
			var all, spreadOut wrongs
			for i, s := range kinds {
				w := s.judged(kind, uint64(1000*k+i))
				for what, n := range map[string]int{"clean": w.clean, "holds": w.holds, "interval misses": w.missed} {
					if n > allowed(w.n, simulated.Confidence) {
						t.Errorf("%s: %s in %d of %d cells", s, what, n, w.n)
					}
				}
				all.add(w)
				if s.spread > 0 && s.rate() > 0.05 && s.rate() < 0.95 {
					spreadOut.add(w)
				}
			}
			if all.n < 10_000 {
				t.Errorf("only %d cells", all.n)
			}
			percent := func(n, of int) float64 { return 100 * float64(n) / float64(of) }
			t.Logf("%d cells: false clean %.2f %%, false holds %.2f %%, interval misses %.2f %%", all.n,
				percent(all.clean, all.n), percent(all.holds, all.n), percent(all.missed, all.n))
			t.Logf("of %d clustered ones it misses %.2f %%, an interval for independent trials %.2f %%",
				spreadOut.n, percent(spreadOut.missed, spreadOut.n), percent(spreadOut.naive, spreadOut.n))
			// What the widening is for: without it the same cells go wrong.
			if kind == "plain" && spreadOut.naive <= allowed(spreadOut.n, simulated.Confidence) {
				t.Errorf("the simulated clusters would not have mattered: an interval for independent trials misses only %d of %d",
					spreadOut.naive, spreadOut.n)
			}
		})
	}
}

// A natural scenario's rate is small, and its trials are fixed beforehand.
func TestNaturalIntervalsKeepTheirLevels(t *testing.T) {
	stopper := NewStopper(simulated, false, true)
	for _, rate := range []float64{0.00002, 0.0001, 0.00025, 0.001, 0.01} {
		for _, spread := range []float64{0, 1, naturalCV2} {
			rng := rand.New(rand.NewPCG(3, uint64(rate*1e6)))
			const cells = 2000
			missed, zero := 0, 0
			for range cells {
				var blocks []Block
				for stopper.Stop(blocks) == "" {
					r := clustered(rng, rate, spread)
					n := NaturalTrials / NaturalBlocks
					stale := int(distuv.Binomial{N: float64(n), P: r, Src: rng}.Rand())
					blocks = append(blocks, Block{Counts: Counts{Trials: n, Stale: stale}})
				}
				evidence := tally(blocks, unnoticedOfTrials)
				lo, hi := NaturalInterval(evidence, simulated.Confidence)
				switch {
				case sum(evidence).Count == 0 && rate > hi:
					zero++
				case rate < lo || rate > hi:
					missed++
				}
			}
			if missed > allowed(cells, simulated.Confidence) || zero > allowed(cells, simulated.Confidence) {
				t.Errorf("rate %g, spread %g: the interval misses %d, the bound of a zero %d of %d times", rate, spread, missed, zero, cells)
			}
		}
	}
}

// The speed that cells owe: an affected one is through after 128 decisive
// trials, a clean one after what its zero needs.
func TestStopperEndsWhereTheEvidenceIsIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, c := range []struct {
		s        simulation
		stop     StopReason
		decisive int
	}{
		{simulation{sensitivity: 1, sentinel: 1, decisive: 1}, StopAffected, firstBlocks * firstSize},
		{simulation{sensitivity: 0.9, sentinel: 1, decisive: 1, spread: 1}, StopAffected, firstBlocks * firstSize},
		{simulation{sentinel: 1, decisive: 1}, StopRuledOut, 3280},
	} {
		o := c.s.outcome(rng, NewStopper(simulated, false, false), 0)
		if o.Stop != c.stop || o.Counts.Decisive != c.decisive {
			t.Errorf("%s: %q after %d decisive trials, want %q after %d", c.s, o.Stop, o.Counts.Decisive, c.stop, c.decisive)
		}
	}
}
