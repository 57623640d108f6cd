package cli

import (
	"sync/atomic"
	"time"
)

// eta guesses how long the cells take that have no answer yet.
type eta struct {
	likely time.Duration // all cells, by the plan
	begin  atomic.Int64  // when the first cell began, in ns of Unix time; 0 before
	known  atomic.Int64  // cells that had an answer then
}

// begun says that a cell begins, while so many have an answer.
func (e *eta) begun(known int64) {
	if e.begin.CompareAndSwap(0, time.Now().UnixNano()) {
		e.known.Store(known)
	}
}

// text is what to say when so many of all cells have an answer. Before the first
// begins, kernels may be on their way, and nobody knows how long that takes.
func (e *eta) text(known, all int64, now time.Time) string {
	begin := e.begin.Load()
	if begin == 0 {
		return "about " + about(e.likely*time.Duration(all-known)/time.Duration(max(all, 1))) + " in virtual machines"
	}
	return "about " + about(e.left(known, all, now.Sub(time.Unix(0, begin)))) + " left"
}

// left goes by how long the cells took that were measured since the first began,
// and by the plan as if it had seen a quarter of all.
func (e *eta) left(known, all int64, passed time.Duration) time.Duration {
	weight := max(1, float64(all)/4)
	each := (float64(e.likely)/float64(max(all, 1))*weight + float64(passed)) / (weight + float64(known-e.known.Load()))
	return time.Duration(each * float64(all-known))
}
