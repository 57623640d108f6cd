package matrix

import (
	"math"
	"time"
)

// StopReason says why a cell stopped sampling.
type StopReason string

// The reasons to stop.
const (
	StopAffected   StopReason = "affected"   // enough unnoticed stale opens for a narrow interval
	StopRuledOut   StopReason = "ruled out"  // 0 of n decisive trials rules out the detection limit
	StopRecognised StopReason = "recognised" // 0 of n stale opens went unnoticed, n rules out the detection limit
	StopRare       StopReason = "rare"       // some unnoticed stale opens, and many times the trials a clean cell needs
	StopMaxTime    StopReason = "max_time"   // the time was up before the evidence was in
	StopFutile     StopReason = "futile"     // at this yield the evidence would not be in by max_time
)

// StaleTarget is the number of unnoticed stale opens at which an affected cell
// stops: with all of 128 decisive trials stale, the 95 % interval is
// [97.2 %, 100 %].
const StaleTarget = 128

// rareFactor bounds an affected cell with a low rate: it stops after this many
// times the decisive trials that a clean cell needs.
const rareFactor = 4

// Needed is the smallest n for which 0 of n rules out a rate of limit at the
// given confidence: (1-limit)^n ≤ 1-confidence. 0.001 at 0.95 gives 2995.
func Needed(limit, confidence float64) int {
	return int(needed(limit, confidence))
}

// needed is Needed before it must fit an int: a limit near 0 gives +Inf.
func needed(limit, confidence float64) float64 {
	return math.Ceil(math.Log(1-confidence) / math.Log1p(-limit))
}

// Stopper decides after every trial whether a cell has enough evidence.
type Stopper struct {
	Needed     int  // see Needed
	Recognises bool // the check looks at what was opened
	MaxTime    time.Duration
}

// Stop returns the reason to stop, or "" to go on. elapsed is the time spent
// in trials so far.
func (s Stopper) Stop(c Counts, elapsed time.Duration) StopReason {
	switch {
	case c.Unnoticed() >= StaleTarget:
		return StopAffected
	case c.Stale == 0 && c.Decisive >= s.Needed:
		return StopRuledOut
	case s.Recognises && c.Unnoticed() == 0 && c.Stale >= s.Needed:
		return StopRecognised
	case !s.Recognises && c.Unnoticed() == 0 && c.Decisive >= s.Needed:
		return StopRuledOut
	case c.Unnoticed() > 0 && c.Decisive >= rareFactor*s.Needed:
		return StopRare
	case elapsed >= s.MaxTime:
		return StopMaxTime
	}
	return ""
}

// Progress is the share of the evidence that is in, in [0, 1]: the largest of
// what the ways to stop ask for.
func (s Stopper) Progress(c Counts) float64 {
	p := float64(c.Unnoticed()) / StaleTarget
	n := float64(s.Needed)
	switch {
	case c.Unnoticed() > 0:
		p = max(p, float64(c.Decisive)/(rareFactor*n))
	case s.Recognises && c.Stale > 0:
		p = max(p, float64(c.Stale)/n)
	default:
		p = max(p, float64(c.Decisive)/n)
	}
	return min(p, 1)
}
