package cli

import (
	"sync/atomic"
	"time"
)

// eta guesses how long the cells take that have no answer yet.
type eta struct {
	likely time.Duration         // all cells, by the plan
	first  atomic.Pointer[start] // nil before the first cell begins
}

// start is when the first cell began, and how many had an answer then.
type start struct {
	at    time.Time
	known int64
}

// begun says that a cell begins, while so many have an answer.
func (e *eta) begun(known int64) {
	if e.first.Load() == nil {
		e.first.CompareAndSwap(nil, &start{time.Now(), known})
	}
}

// text is what to say when so many of all cells, at least one, have an answer.
// Before the first begins, kernels may be on their way, and nobody knows how long
// that takes.
func (e *eta) text(known, all int64, now time.Time) string {
	first := e.first.Load()
	if first == nil {
		return "about " + about(e.likely*time.Duration(all-known)/time.Duration(all)) + " in virtual machines"
	}
	return "about " + about(e.left(known-first.known, all-known, all, now.Sub(first.at))) + " left"
}

// left goes by how long the cells took that were measured since the first began,
// and by the plan as if it had seen a quarter of all.
func (e *eta) left(measured, missing, all int64, passed time.Duration) time.Duration {
	weight := max(1, float64(all)/4)
	each := (float64(e.likely)/float64(all)*weight + float64(passed)) / (weight + float64(measured))
	return time.Duration(each * float64(missing))
}
