package runner

import (
	"context"
	"sync"
)

// turns is a schedule that goroutines wait for, on real CPUs.
type turns struct {
	mu   sync.Mutex
	s    *schedule
	host []int // CPUs that this process may use
}

func newTurns(b Budget) *turns {
	return &turns{s: newSchedule(b.CPUs, b.Memory, b.Jobs), host: hostCPUs()}
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
func (t *turns) ended(m *machine) { t.change(m, (*schedule).ended) }

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
	for _, m := range t.s.grants() {
		close(m.granted)
	}
}

// turnOf are the turns of one machine; nil is that of a machine that has the
// host to itself.
type turnOf struct {
	turns *turns
	m     *machine
}

// booted is turns.booted.
func (t *turnOf) booted() <-chan struct{} {
	if t == nil {
		now := make(chan struct{})
		close(now)
		return now
	}
	return t.turns.booted(t.m)
}

// raced is turns.raced.
func (t *turnOf) raced() {
	if t != nil {
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
