package runner

import (
	"math"
	"slices"
	"time"

	"kqual/matrix"
)

// Estimate is how long a plan takes within a budget, without getting the
// kernels: likely, and at most. It runs the schedule on a clock of its own.
func Estimate(plan *matrix.Plan, b Budget) (likely, upper time.Duration) {
	b = b.Resolve()
	order := bootOrder(plan, b)
	cost := plan.Cost().Kernels
	var most, worst []course
	for n, i := range order {
		k := plan.Kernels[i].Kernel
		if b.Check(k) != nil {
			continue // it never starts
		}
		m := machine{order: n, vcpus: k.Machine.VCPUs, memory: k.Machine.Memory + qemuMemory}
		c := cost[i]
		most = append(most, course{m: m, boot: c.Boot, race: c.Likely - c.Boot})
		worst = append(worst, course{m: m, boot: c.BootUpper, race: c.Upper - c.BootUpper})
	}
	return simulate(newSchedule(b.CPUs, b.Memory, b.Jobs), most, nil), simulate(newSchedule(b.CPUs, b.Memory, b.Jobs), worst, nil)
}

// course is what a machine will do, for a simulation.
type course struct {
	m               machine
	ready           time.Duration // when its kernel is there
	boot, race, end time.Duration
}

// simulate runs machines through a schedule and returns when the last has ended.
// look, where it is not nil, is called after every change.
func simulate(s *schedule, list []course, look func(now time.Duration)) (now time.Duration) {
	const never = time.Duration(math.MaxInt64)
	// due is when a machine's phase is over; it starts when its kernel is there.
	due := make([]time.Duration, len(list))
	arrived := make([]bool, len(list))
	for i := range list {
		due[i] = list[i].ready
	}
	for {
		i := 0
		for k := range due {
			if due[k] < due[i] {
				i = k
			}
		}
		if len(due) == 0 || due[i] == never {
			return now
		}
		now = due[i]
		c := &list[i]
		due[i] = never
		switch {
		case !arrived[i]:
			arrived[i] = true
			s.boot(&c.m)
		case c.m.phase == phaseBoot:
			s.booted(&c.m)
		case c.m.phase == phaseRace:
			s.raced(&c.m)
			due[i] = now + c.end
		default:
			s.ended(&c.m)
		}
		for _, m := range s.grants() {
			k := slices.IndexFunc(list, func(c course) bool { return c.m.order == m.order })
			due[k] = now + list[k].boot
			if m.phase == phaseRace {
				due[k] = now + list[k].race
			}
		}
		if look != nil {
			look(now)
		}
	}
}
