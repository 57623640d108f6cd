package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kqual/matrix"
)

// The guest ends every cell by its own clock, and shows every second that it is
// alive. What follows ends a guest that goes on for ever all the same: its clock
// may stand still, or whoever runs there may not be kqual.

// cellLimit is how long one cell may take, from its begin record to its answer:
// the time for its trials, and as much for making and ordering groups, twice.
func (b *boot) cellLimit() time.Duration {
	return 3*b.plan.Sampling.MaxTime + 2*b.between()
}

// kernelLimit is how long all cells of a boot may take together, with the mounts
// and order witnesses of each filesystem; or the costs of each number of groups.
func (b *boot) kernelLimit() time.Duration {
	others := 1 + len(b.plan.Filesystems)
	if b.plan.Cost != nil {
		others += len(b.plan.Cost.Groups)
	}
	return time.Duration(len(b.plan.Cells))*b.cellLimit() + time.Duration(others)*4*b.between()
}

// limits are the two in a boot that goes on.
type limits struct{ cell, kernel *time.Timer }

// newLimits makes timers that do not run yet.
func newLimits() limits {
	l := limits{time.NewTimer(time.Hour), time.NewTimer(time.Hour)}
	l.stop()
	return l
}

func (l limits) stop() {
	l.cell.Stop()
	l.kernel.Stop()
}

// errRunDeadline is why a run ends that takes longer than Config.MaxTime.
var errRunDeadline = errors.New("run deadline")

// withRunDeadline bounds a run; 0 does not.
func withRunDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, errRunDeadline)
}

// stopped is why what was not measured before ctx was done has no answer.
func (r *run) stopped(ctx context.Context) *matrix.Failure {
	if errors.Is(context.Cause(ctx), errRunDeadline) {
		return &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("run deadline: not measured within %s", r.cfg.MaxTime),
			Hint: "kqual run --resume goes on",
		}
	}
	return &matrix.Failure{Side: matrix.SideHost, Reason: "interrupted before it was measured"}
}
