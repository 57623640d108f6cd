package guest

import "kqual/matrix"

// Stage is how far the guest has come.
type Stage string

// The stages of a boot, in order; Began to Answered come for every cell.
const (
	Greeted  Stage = "greeted"  // hello is said, no cell has begun
	Began    Stage = "began"    // the host knows which cell runs
	Trying   Stage = "trying"   // between two trials
	Answered Stage = "answered" // the cell's outcome is sent
	Finished Stage = "finished" // no cell is left, done is not said yet
	Said     Stage = "said"     // done has left the port
)

// OnStage, where it is set, is called at every stage by the goroutine that
// works, with the cell where there is one. kqual leaves it nil: it is where the
// guests of tests make trouble.
var OnStage func(s Stage, cell *matrix.Cell)

func reach(s Stage, cell *matrix.Cell) {
	if OnStage != nil {
		OnStage(s, cell)
	}
}
