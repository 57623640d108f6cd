package matrix

import (
	"math"
	"time"
)

// StopReason says why a cell stopped sampling.
type StopReason string

// The reasons to stop.
const (
	StopAffected   StopReason = "affected"   // enough unnoticed stale opens for a useful interval
	StopRuledOut   StopReason = "ruled out"  // no stale open in enough decisive trials to rule out the detection limit
	StopRecognised StopReason = "recognised" // enough stale opens, all recognised, to rule it out
	StopRare       StopReason = "rare"       // some unnoticed stale opens, and many times the trials a clean cell needs
	StopNatural    StopReason = "natural"    // the fixed number of trials of a natural scenario
	StopMaxTime    StopReason = "max_time"   // the time was up before the evidence was in
	StopFutile     StopReason = "futile"     // at this yield the evidence would not be in by max_time
)

// How a cell's trials are spread over blocks. The sizes are fixed beforehand,
// so that a block weighs the same whatever it saw. A block costs 1 to 4 ms to
// set up and a trial 0.1 to 0.4 ms (measured, TCG, 5.10 and 6.1).
const (
	// MinBlocks is the least number of blocks that a verdict rests on.
	MinBlocks = 4
	// firstBlocks are small, so that an affected cell is through after
	// firstBlocks × firstSize decisive trials.
	firstBlocks = 8
	firstSize   = 16 // decisive trials
	// restBlocks share what a zero needs beyond the first ones. More blocks
	// make a zero worth more and cost more: 24 in all ask for 9 % more trials
	// than independent ones would.
	restBlocks = 16
)

// minSpread is how many effective blocks must be behind a zero: a little below
// MinBlocks, since blocks that were cut short count less. An interval must also
// learn from its blocks how they differ; with fewer than intervalSpread it
// would miss up to 8 % of the time (simulated, 10 % of the variance between
// blocks).
const (
	minSpread      = 0.9 * MinBlocks
	intervalSpread = 6
)

// StaleTarget is the number of unnoticed stale opens at which an affected cell
// stops: half of what the first blocks have to give. With all of 128 decisive
// trials stale, the 95 % interval is [95.8 %, 100 %].
const StaleTarget = firstBlocks * firstSize / 2

// rareFactor bounds an affected cell with a low rate: it stops after this many
// times the decisive trials that a clean cell needs.
const rareFactor = 4

// NaturalTrials is what a natural scenario runs, however it goes, in whole
// rounds: two of the classic churn's 9,999 names. At the rate of an unmodified
// application on 5.10, 5 in 20,000, some stale opens come up in 99 of 100 cells.
const NaturalTrials = 2 * 9_999

// NaturalBlocks share them evenly.
const NaturalBlocks = 16

// Needed is the number of decisive trials, spread as a [Stopper] spreads them,
// in which a zero rules out a rate of limit at the given confidence: 3,280 for
// 0.001 at 0.95, where independent trials would need 2,995.
func Needed(limit, confidence float64) int {
	return int(needed(limit, confidence))
}

// needed is Needed before it must fit an int: a limit near 0 gives +Inf.
func needed(limit, confidence float64) float64 {
	return firstBlocks*firstSize + restBlocks*restSize(limit, confidence)
}

// restSize is the size of the blocks after the first ones. It solves the
// equation of [RuledOut].
func restSize(limit, confidence float64) float64 {
	first := firstBlocks * math.Log1p(clusterCV2*firstSize*limit)
	rest := (-clusterCV2*math.Log1p(-confidence) - first) / restBlocks
	if rest <= 0 {
		return 0
	}
	return math.Ceil(math.Expm1(rest) / (clusterCV2 * limit))
}

// Stopper decides how long a cell's blocks are and, after each of them,
// whether the cell has enough evidence. Make one with [NewStopper].
type Stopper struct {
	MaxTime    time.Duration
	confidence float64
	limit      float64
	needed     int
	rest       int  // size of the blocks after the first ones
	recognises bool // the check looks at what was opened
	natural    bool // a fixed number of trials, without a sentinel
}

// NewStopper is the stopping rule for a cell. recognises is its check's,
// natural its scenario's property of that name.
func NewStopper(s Sampling, recognises, natural bool) Stopper {
	return Stopper{
		MaxTime: s.MaxTime, confidence: s.Confidence, limit: s.DetectionLimit,
		needed: Needed(s.DetectionLimit, s.Confidence), rest: max(firstSize, int(restSize(s.DetectionLimit, s.Confidence))),
		recognises: recognises, natural: natural,
	}
}

// maxBlocks bounds what a guest reports of a cell: about 0.4 kB per block.
const maxBlocks = 256

// blockTrials bounds the trials of a block of few decisive ones, as a multiple
// of its size.
const blockTrials = 8

// Full says whether block number i, counting from 0, has what it is to have.
func (s Stopper) Full(i int, c Counts) bool {
	if i >= maxBlocks-1 {
		return false
	}
	size := s.rest
	if i < firstBlocks {
		size = firstSize
	}
	return c.Decisive >= size || c.Trials >= blockTrials*size
}

// Stop returns the reason to stop after the blocks, or "" to go on.
func (s Stopper) Stop(blocks []Block) StopReason {
	all := total(blocks)
	if s.natural {
		if all.Trials >= NaturalTrials {
			return StopNatural
		}
		return ""
	}
	decisive := tally(blocks, unnoticedOfDecisive)
	if len(blocks) < firstBlocks {
		return ""
	}
	switch {
	case all.Unnoticed() >= StaleTarget && effectiveBlocks(decisive) >= intervalSpread:
		return StopAffected
	case all.Unnoticed() > 0:
		if all.Decisive >= rareFactor*s.needed {
			return StopRare
		}
	case s.recognises && all.Stale > 0:
		if stale := tally(blocks, unnoticedOfStale); s.rulesOut(stale) {
			return StopRecognised
		}
	case s.rulesOut(decisive):
		return StopRuledOut
	}
	return ""
}

func (s Stopper) rulesOut(blocks []Tally) bool {
	return rulesOut(blocks, s.limit, s.confidence)
}

// rulesOut says whether a zero in the blocks rules out the limit and rests on
// enough of them.
func rulesOut(blocks []Tally, limit, confidence float64) bool {
	evidence, _ := zeroEvidence(blocks, limit, clusterCV2)
	return effectiveBlocks(blocks) >= minSpread && evidence >= wantedEvidence(confidence, clusterCV2)
}

// Progress is the share of the evidence that is in, in [0, 1]: the largest of
// what the ways to stop ask for.
func (s Stopper) Progress(c Counts) float64 {
	p := float64(c.Unnoticed()) / StaleTarget
	n := float64(s.needed)
	switch {
	case c.Unnoticed() > 0:
		p = max(p, float64(c.Decisive)/(rareFactor*n))
	case s.recognises && c.Stale > 0:
		p = max(p, float64(c.Stale)/n)
	default:
		p = max(p, float64(c.Decisive)/n)
	}
	return min(p, 1)
}

// total adds the counts of blocks up.
func total(blocks []Block) Counts {
	var c Counts
	for _, b := range blocks {
		c.Add(b.Counts)
	}
	return c
}

// tally is what blocks say about one rate.
func tally(blocks []Block, of func(Counts) Tally) []Tally {
	out := make([]Tally, len(blocks))
	for i, b := range blocks {
		out[i] = of(b.Counts)
	}
	return out
}

// The rates that verdicts are about.
func unnoticedOfDecisive(c Counts) Tally { return Tally{c.UnnoticedDecisive(), c.Decisive} }
func unnoticedOfStale(c Counts) Tally    { return Tally{c.Unnoticed(), c.Stale} }
func unnoticedOfTrials(c Counts) Tally   { return Tally{c.Unnoticed(), c.Trials} }
