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

// fetchAll calls get for kernels in order, one after the other. A get that calls
// slow, because its kernel is not in the cache, lets the next begin, as long as
// that comes from another kind of source: so cached kernels boot while one is
// built.
func fetchAll(ctx context.Context, g *errgroup.Group, order []int, source func(int) string, get func(i int, slow func())) {
	last := map[string]<-chan struct{}{} // source → closed when its last get is through
	for _, i := range order {
		if ctx.Err() != nil {
			return
		}
		before, through := last[source(i)], make(chan struct{})
		last[source(i)] = through
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
			get(i, func() { once.Do(func() { close(slow) }) })
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
