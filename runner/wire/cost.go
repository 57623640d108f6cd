package wire

import "kqual/matrix"

// CostPlan has the guest measure what unlink(2) costs, in place of cells. It
// answers with one Record.Cost for each of Groups.
type CostPlan struct {
	Groups []int `json:"groups"` // that watch the directory, ascending
}

// Cost is the cost with so many groups.
type Cost = matrix.CostSample
