package runner

import (
	"context"
	"maps"
	"slices"
	"sync"

	"kqual/matrix"
)

// turns is a schedule that goroutines wait for, on real CPUs. The schedule counts
// CPUs; which ones of the host's they are shows when a boot or race begins.
type turns struct {
	mu    sync.Mutex
	s     *schedule
	host  []int // CPUs that this process may use, in ascending order
	locks *cpuLocks
	// shared says that the budget has more CPUs than the host: races are in each
	// other's way anyway, and nobody holds any.
	shared bool

	racing  map[*machine][]int            // host CPUs of a race
	confine map[*machine]func(cpus []int) // keeps a machine that does not race out of the way
}

// newTurns makes turns for a budget, apart from those of other processes whose
// locks have the same prefix.
func newTurns(b Budget, prefix string) *turns {
	host := hostCPUs()
	return &turns{
		s: newSchedule(b.CPUs, b.Memory, b.Jobs), host: host, locks: newCPULocks(prefix), shared: b.CPUs > len(host),
		racing: map[*machine][]int{}, confine: map[*machine]func([]int){},
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

// quiet are the host CPUs where neither this process nor another races: a kernel
// boots faster on several, and nobody minds. Where there are none, a machine is
// nowhere out of the way, and may go where this process does not race.
func (t *turns) quiet() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.quietNow()
}

// quietNow is quiet; t.mu is held.
func (t *turns) quietNow() []int {
	own := slices.Concat(slices.Collect(maps.Values(t.racing))...)
	cpus := slices.DeleteFunc(slices.Clone(t.host), func(cpu int) bool { return slices.Contains(own, cpu) })
	if alone := slices.DeleteFunc(slices.Clone(cpus), t.locks.foreign); len(alone) > 0 {
		return alone
	}
	return cpus
}

// onRace has confine called when races leave m other CPUs than before, and now
// where there is one: it may have begun since m was started.
func (t *turns) onRace(m *machine, confine func(cpus []int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.confine[m] = confine
	if len(t.racing) > 0 {
		confine(t.quietNow())
	}
}

// onHost chooses the host CPUs of a race that the schedule has granted, waits
// for them, and keeps machines that do not race out of them; false means that
// the claim was given up.
func (t *turns) onHost(m *machine, c *cpuClaim, waits func()) bool {
	cpus := t.numbered(m)
	if !t.shared {
		var ok bool
		if cpus, ok = c.take(len(cpus), t.host, waits); !ok {
			return false
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.isOver() { // by now: m may be no more
		return false
	}
	t.racing[m] = cpus
	quiet := t.quietNow()
	for o, confine := range t.confine {
		if o.phase != phaseRace || o.waiting {
			confine(quiet)
		}
	}
	return true
}

// numbered are as many host CPUs as m has of the schedule's: by their number,
// which spreads races that share them.
func (t *turns) numbered(m *machine) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	var cpus []int
	for _, i := range m.cpus {
		if len(t.host) > 0 {
			cpus = append(cpus, t.host[i%len(t.host)])
		}
	}
	return cpus
}

// cpus are the host CPUs of a race.
func (t *turns) cpus(m *machine) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.racing[m]
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
	delete(t.racing, m)
	step(t.s, m)
	t.grant()
}

// grant tells those whose turn it is; t.mu is held.
func (t *turns) grant() {
	for _, m := range t.s.grants() {
		close(m.granted)
	}
}

// turnOf are the turns of one machine; nil is that of a machine that has the
// host to itself. Beside this process's own turns it waits for other kqual
// processes: a boot for any CPU, a race for as many as it needs.
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
	return &turnOf{turns: t, m: m, waits: func() {}, booting: newCPUClaim(t.locks), racing: newCPUClaim(t.locks)}
}

// boot waits until the machine may boot, or ctx is done.
func (t *turnOf) boot(ctx context.Context) error {
	if err := t.turns.boot(ctx, t.m); err != nil {
		return err
	}
	if t.turns.shared {
		return nil
	}
	stop := context.AfterFunc(ctx, t.booting.giveUp)
	defer stop()
	if _, ok := t.booting.take(1, t.turns.host, t.waits); !ok {
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
			if t.turns.onHost(t.m, t.racing, t.waits) {
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

// cpus are those of the race, or all.
func (t *turnOf) cpus(all []int) []int {
	if t == nil {
		return all
	}
	return t.turns.cpus(t.m)
}

// quiet are the host CPUs to boot on, or all.
func (t *turnOf) quiet(all []int) []int {
	if t == nil {
		return all
	}
	return t.turns.quiet()
}

// onRace is turns.onRace.
func (t *turnOf) onRace(confine func(cpus []int)) {
	if t != nil {
		t.turns.onRace(t.m, confine)
	}
}
