package runner

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"kqual/matrix"
)

// bootOrder is the order in which kernels are got and boot, as indexes of the
// plan: that of the matrix, or where races go side by side, the longest first,
// so that none is left for the end alone. Results keep the matrix's order.
func bootOrder(plan *matrix.Plan, b Budget) []int {
	order := make([]int, len(plan.Kernels))
	for i := range order {
		order[i] = i
	}
	least := b.CPUs
	for _, k := range plan.Kernels {
		least = min(least, k.Kernel.Machine.VCPUs)
	}
	if b.CPUs >= 2*least {
		cost := plan.Cost().Kernels
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(cost[j].Likely, cost[i].Likely) })
	}
	return order
}

// fetchAll gets the kernels in order, one after the other, and hands each on.
// One that is not in the cache lets the next begin, as long as that comes from
// another kind of source: so cached kernels boot while one is built.
func (r *run) fetchAll(ctx context.Context, g *errgroup.Group, order []int, use func(fetched)) {
	last := map[string]<-chan struct{}{} // source → closed when its last fetch is through
	for _, i := range order {
		if ctx.Err() != nil {
			return
		}
		source := r.cfg.Plan.Kernels[i].Kernel.Source
		before, through := last[source], make(chan struct{})
		last[source] = through
		slow, once := make(chan struct{}), sync.Once{}
		g.Go(func() error {
			defer close(through)
			if before != nil {
				select {
				case <-before:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			use(r.fetch(ctx, i, func() { once.Do(func() { close(slow) }) }))
			return nil
		})
		if before != nil && !closed(before) {
			continue
		}
		select {
		case <-through:
		case <-slow:
		case <-ctx.Done():
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
