package matrix

import (
	"slices"
	"time"
)

// Rate is a rate with its interval at the matrix's confidence.
type Rate struct {
	Count int     `json:"count"`
	Of    int     `json:"of"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// Numbers are what a measured cell says about its own evidence.
type Numbers struct {
	Trials    int     `json:"trials"`
	Blocks    int     `json:"blocks"`
	Groups    int     `json:"groups"`    // of the last block, the reader included
	Contested float64 `json:"contested"` // share of the trials
	Decisive  float64 `json:"decisive"`  // share of the trials
	// DesignEffect is by how much the differences between blocks inflate the
	// variance of the decisive trials' rate; 0 where every trial went the same
	// way.
	DesignEffect float64       `json:"design_effect"`
	PerSecond    float64       `json:"per_second"`            // trials, while they ran
	FirstStale   time.Duration `json:"first_stale,omitempty"` // from the first trial
	Decision     time.Duration `json:"decision"`              // set-up and trials
	// Sensitivity is the rate of stale opens in decisive trials on the run's
	// known-bad kernel, in the same filesystem, scenario and event source: how
	// surely this cell would have shown the race. nil where that kernel measured
	// none, as where it refuses the watch.
	Sensitivity *Sensitivity `json:"sensitivity,omitempty"`
	// Natural is the rate that an unmodified application meets with the same
	// watch on the same kernel and filesystem, over all trials of the natural
	// scenarios; beside an amplified cell.
	Natural *Rate `json:"natural,omitempty"`
}

// Sensitivity is a rate that was measured on a known-bad kernel.
type Sensitivity struct {
	Kernel string `json:"kernel"`
	Rate
}

// CellNumbers returns the numbers of every cell, by run and cell as in runs;
// nil where nothing was measured. controls name the known-bad kernels.
func CellNumbers(controls []Rule, runs []KernelRun, s Sampling, cat Catalog) [][]*Numbers {
	known := sensitivities(controls, runs, s, cat)
	out := make([][]*Numbers, len(runs))
	for i, run := range runs {
		out[i] = make([]*Numbers, len(run.Cells))
		for k, c := range run.Cells {
			if !c.Outcome.sound() {
				continue
			}
			n := numbersOf(c.Outcome)
			if !cat.Scenarios[c.Cell.Scenario].Natural {
				if known, ok := known[measuring{place{c.Cell.Filesystem, c.Cell.Scenario}, c.Cell.Watch.Source}]; ok {
					n.Sensitivity = &known
				}
				n.Natural = naturalRate(run, c.Cell, s, cat)
			}
			out[i][k] = n
		}
	}
	return out
}

// sound says whether the outcome has counts, and they agree with each other.
func (o *Outcome) sound() bool { return o != nil && o.Status == Measured && o.fault() == "" }

func numbersOf(o *Outcome) *Numbers {
	c := o.Counts
	n := &Numbers{Trials: c.Trials, Blocks: len(o.Blocks), FirstStale: o.FirstStale, Decision: o.Setup + o.Elapsed}
	if len(o.Blocks) > 0 {
		n.Groups = o.Blocks[len(o.Blocks)-1].Groups
	}
	if c.Trials > 0 {
		n.Contested, n.Decisive = float64(c.Contested)/float64(c.Trials), float64(c.Decisive)/float64(c.Trials)
	}
	if o.Elapsed > 0 {
		n.PerSecond = float64(c.Trials) / o.Elapsed.Seconds()
	}
	if c.Decisive > 0 {
		n.DesignEffect = designEffect(tally(o.Blocks, unnoticedOfDecisive))
	}
	return n
}

// measuring is what a sensitivity is about.
type measuring struct {
	place
	source string
}

// sensitivities are measured with the plain watches of the known-bad kernels:
// those with a control that must be affected. Where there are several, the least
// sensitive one counts.
func sensitivities(controls []Rule, runs []KernelRun, s Sampling, cat Catalog) map[measuring]Sensitivity {
	out := map[measuring]Sensitivity{}
	mustBeAffected := func(c Cell) bool {
		return slices.ContainsFunc(controls, func(r Rule) bool { return r.must() == VerdictAffected && r.Matches(c) })
	}
	for _, run := range runs {
		if !slices.ContainsFunc(run.Cells, func(c CellRun) bool { return mustBeAffected(c.Cell) }) {
			continue
		}
		for _, c := range run.Cells {
			if !c.Outcome.sound() || c.Outcome.Counts.Decisive == 0 || !cat.IsPlain(c.Cell.Watch) {
				continue
			}
			at := measuring{place{c.Cell.Filesystem, c.Cell.Scenario}, c.Cell.Watch.Source}
			blocks := tally(c.Outcome.Blocks, unnoticedOfDecisive)
			rate := Rate{Count: sum(blocks).Count, Of: sum(blocks).Of}
			rate.Lo, rate.Hi = Interval(blocks, s.Confidence)
			if first, ok := out[at]; !ok || rate.Lo < first.Lo {
				out[at] = Sensitivity{run.Kernel, rate}
			}
		}
	}
	return out
}

// naturalRate is that of the natural scenarios beside c: same kernel,
// filesystem and watch.
func naturalRate(run KernelRun, c Cell, s Sampling, cat Catalog) *Rate {
	var blocks []Tally
	for _, o := range run.Cells {
		if cat.Scenarios[o.Cell.Scenario].Natural && o.Cell.Filesystem == c.Filesystem && o.Cell.Watch.Name == c.Watch.Name && o.Outcome.sound() {
			blocks = append(blocks, tally(o.Outcome.Blocks, unnoticedOfTrials)...)
		}
	}
	if sum(blocks).Of == 0 {
		return nil
	}
	r := Rate{Count: sum(blocks).Count, Of: sum(blocks).Of}
	r.Lo, r.Hi = NaturalInterval(blocks, s.Confidence)
	return &r
}
