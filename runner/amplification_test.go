package runner

import (
	"context"
	"fmt"
	"testing"

	"kqual/matrix"
)

// What the amplification must come to (at default pressure, tmpfs).
const (
	leastSensitivity = 0.98  // stale of decisive
	leastGain        = 1000  // times the natural rate, where that is at most rareNatural
	rareNatural      = 0.001 // stale of all deletes
)

// BenchmarkVMAmplification sets the amplified rate beside what an unmodified
// application meets, all in one boot of an affected kernel, on an idle host and
// on one with both cores busy. It fails where the amplification is too weak.
func BenchmarkVMAmplification(b *testing.B) {
	needVM(b)
	for _, load := range []struct {
		name string
		busy int // processes that keep a host core busy
	}{{"idle", 0}, {"2-cores-busy", 2}} {
		b.Run(load.name, func(b *testing.B) {
			keepBusy(b, load.busy)
			cfg, _ := testRun(b, scenarioMatrix(affected, "tmpfs", "unlink, indelchurn, inotify11", "  - {name: DELETE, inotify: [IN_DELETE]}\n"))
			for b.Loop() {
				runs, err := Run(context.Background(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				amplification(b, runs[0], cfg.Sampling.Confidence)
			}
		})
	}
}

// amplification reports the rates of one boot, the amplified one first.
func amplification(b *testing.B, run matrix.KernelRun, confidence float64) {
	b.Helper()
	var amplified matrix.Rate
	for _, c := range run.Cells {
		if c.Outcome == nil {
			b.Fatalf("%s: %v", c.Cell.Scenario, c.Error)
		}
		natural := testCatalog().Scenarios[c.Cell.Scenario].Natural
		r := rateOf(c.Outcome, natural, confidence)
		share := float64(r.Count) / float64(max(r.Of, 1))
		line := fmt.Sprintf("%-11s %d stale of %d: %.4f %% [%.4f %%, %.4f %%] in %v", c.Cell.Scenario, r.Count, r.Of, 100*share, 100*r.Lo, 100*r.Hi, c.Outcome.Elapsed)
		switch {
		case !natural:
			amplified = r
			if share < leastSensitivity {
				b.Errorf("%s: less than %g %% of the decisive trials", line, 100*leastSensitivity)
			}
		default:
			gain := float64(amplified.Count) / float64(amplified.Of) / share // +Inf where nothing was stale
			line += fmt.Sprintf("; amplified %.0f times, at least %.0f", gain, amplified.Lo/r.Hi)
			if share <= rareNatural && gain < leastGain {
				b.Errorf("%s: less than %d times", line, leastGain)
			}
		}
		b.Log(line)
		b.ReportMetric(100*share, "%stale-"+c.Cell.Scenario)
	}
}

// rateOf is the rate of stale opens with its interval: of the decisive trials,
// or of all where the scenario is natural.
func rateOf(o *matrix.Outcome, natural bool, confidence float64) matrix.Rate {
	interval, of := matrix.Interval, func(c matrix.Counts) matrix.Tally { return matrix.Tally{Count: c.StaleDecisive, Of: c.Decisive} }
	if natural {
		interval, of = matrix.NaturalInterval, func(c matrix.Counts) matrix.Tally { return matrix.Tally{Count: c.Stale, Of: c.Trials} }
	}
	var blocks []matrix.Tally
	for _, bl := range o.Blocks {
		blocks = append(blocks, of(bl.Counts))
	}
	all := of(o.Counts)
	r := matrix.Rate{Count: all.Count, Of: all.Of}
	r.Lo, r.Hi = interval(blocks, confidence)
	return r
}
