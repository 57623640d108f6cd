package runner

import (
	"context"
	"slices"
	"sync"

	"kqual/matrix"
)

// turns is a schedule that goroutines wait for, on real CPUs.
type turns struct {
	mu   sync.Mutex
	s    *schedule
	host []int // CPUs that the budget has
	// locks keep other processes off these CPUs; where the budget has more CPUs than
	// the host, races share them anyway.
	locks cpuLocks

	confine map[*machine]func(cpus []int) // keeps a machine that does not race out of the way
}

// newTurns makes turns for a budget, apart from those of other processes with the
// same locks.
func newTurns(b Budget, locks cpuLocks) *turns {
	host := hostCPUs()
	if b.CPUs > len(host) {
		locks = cpuLocks{}
	}
	return &turns{
		s: newSchedule(b.CPUs, b.Memory, b.Jobs), host: host[:min(b.CPUs, len(host))], locks: locks,
		confine: map[*machine]func([]int){},
	}
}

// boot waits until m may boot.
func (t *turns) boot(ctx context.Context, m *machine) error {
	granted := t.wait(m, (*schedule).boot)
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
		t.ended(m)
		return ctx.Err()
	}
}

// booted says that m is up; the channel is closed when it may race.
func (t *turns) booted(m *machine) <-chan struct{} { return t.wait(m, (*schedule).booted) }

// raced says that m only has to power off.
func (t *turns) raced(m *machine) { t.change(m, (*schedule).raced) }

// ended says that m is no more.
func (t *turns) ended(m *machine) {
	t.mu.Lock()
	delete(t.confine, m)
	t.mu.Unlock()
	t.change(m, (*schedule).ended)
}

// bootCPUs are the host CPUs without a race: a kernel boots faster on several,
// and nobody minds.
func (t *turns) bootCPUs() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quiet()
}

// quiet is bootCPUs; t.mu is held.
func (t *turns) quiet() []int {
	racing := map[int]bool{}
	for _, m := range t.s.list {
		for _, i := range m.cpus {
			if m.phase == phaseRace && len(t.host) > 0 {
				racing[t.host[i%len(t.host)]] = true
			}
		}
	}
	var out []int
	for _, cpu := range t.host {
		if !racing[cpu] {
			out = append(out, cpu)
		}
	}
	return out
}

// onRace has confine called when races leave m other CPUs than before.
func (t *turns) onRace(m *machine, confine func(cpus []int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.confine[m] = confine
}

// cpus are the host CPUs that m has. Where the budget has more than the host,
// machines share them.
func (t *turns) cpus(m *machine) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.host) == 0 {
		return nil
	}
	var out []int
	for _, i := range m.cpus {
		out = append(out, t.host[i%len(t.host)])
	}
	return out
}

func (t *turns) wait(m *machine, step func(*schedule, *machine)) <-chan struct{} {
	granted := make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	m.granted = granted
	step(t.s, m)
	t.grant()
	return granted
}

func (t *turns) change(m *machine, step func(*schedule, *machine)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	step(t.s, m)
	t.grant()
}

// grant tells those whose turn it is; t.mu is held.
func (t *turns) grant() {
	granted := t.s.grants()
	if slices.ContainsFunc(granted, func(m *machine) bool { return m.phase == phaseRace }) {
		// Before the race begins, or this would undo what it does with its threads.
		for m, confine := range t.confine {
			if m.phase != phaseRace || m.waiting {
				confine(t.quiet())
			}
		}
	}
	for _, m := range granted {
		close(m.granted)
	}
}

// turnOf are the turns of one machine; nil is that of a machine that has the
// host to itself. Beside this process's own turns it waits for other kqual
// processes: a boot for any CPU, a race for those that it has.
type turnOf struct {
	turns *turns
	m     *machine
	waits func() // told once, where another process has the CPUs

	booting, racing *cpuClaim
}

// turnOf is that of one boot. A kernel that has begun goes on before others begin.
func (r *run) turnOf(order int, kr *matrix.KernelRun) *turnOf {
	t := newTurnOf(r.turns, &machine{order: order, vcpus: kr.Machine.VCPUs, memory: kr.Machine.Memory + qemuMemory})
	t.waits = sync.OnceFunc(func() {
		r.emit(Event{Kernel: kr.Kernel, Text: "another kqual has this host's CPUs; waiting for them"})
	})
	return t
}

func newTurnOf(t *turns, m *machine) *turnOf {
	return &turnOf{turns: t, m: m, waits: func() {}, booting: newCPUClaim(), racing: newCPUClaim()}
}

// boot waits until the machine may boot, or ctx is done.
func (t *turnOf) boot(ctx context.Context) error {
	if err := t.turns.boot(ctx, t.m); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, t.booting.giveUp)
	defer stop()
	cpus := slices.Concat(t.turns.cpus(t.m), t.turns.host) // its own, if it can be had
	if !t.turns.locks.takeOne(t.booting, cpus, t.waits) {
		t.ended()
		return ctx.Err()
	}
	return nil
}

// ended is turns.ended.
func (t *turnOf) ended() {
	if t != nil {
		t.booting.giveUp()
		t.racing.giveUp()
		t.turns.ended(t.m)
	}
}

// booted is turns.booted, and after it the wait for other processes.
func (t *turnOf) booted() <-chan struct{} {
	now := make(chan struct{})
	if t == nil {
		close(now)
		return now
	}
	t.booting.giveUp()
	granted := t.turns.booted(t.m)
	go func() {
		select {
		case <-granted:
			if t.turns.locks.take(t.racing, t.turns.cpus(t.m), t.waits) {
				close(now)
			}
		case <-t.racing.done:
		}
	}()
	return now
}

// raced is turns.raced.
func (t *turnOf) raced() {
	if t != nil {
		t.racing.giveUp()
		t.turns.raced(t.m)
	}
}

// cpus is turns.cpus, or all.
func (t *turnOf) cpus(all []int) []int {
	if t == nil {
		return all
	}
	return t.turns.cpus(t.m)
}

// bootCPUs is turns.bootCPUs, or all.
func (t *turnOf) bootCPUs(all []int) []int {
	if t == nil {
		return all
	}
	return t.turns.bootCPUs()
}

// onRace is turns.onRace.
func (t *turnOf) onRace(confine func(cpus []int)) {
	if t != nil {
		t.turns.onRace(t.m, confine)
	}
}
