package runner

import (
	"cmp"
	"slices"
)

// phase is what a machine does with the host's CPUs.
type phase int

const (
	// phaseBoot is from the start of QEMU to the guest's first record. A kernel
	// boots on one of its CPUs; the others have next to nothing to do.
	phaseBoot phase = iota
	// phaseRace is from there to the guest's last record. A race needs all CPUs
	// of its machine at the same moment.
	phaseRace
	// phaseEnd is from there to the end of QEMU: one CPU powers off.
	phaseEnd
)

// machine is a virtual machine in the eyes of the schedule.
type machine struct {
	order  int   // the smaller goes first
	vcpus  int   // of its race
	memory int64 // bytes, from its boot to its end

	phase   phase
	waiting bool  // for the CPUs of its phase; else it has them
	cpus    []int // those that it has, by their number in the budget
	granted chan struct{}
}

// schedule decides which machine may go on. It is pure: no clock, no goroutine,
// no host; the same calls give the same grants.
//
// A host CPU belongs to one machine at a time. A race has its CPUs alone. Boots
// fill what races leave, and go side by side: on two CPUs two machines of two
// virtual CPUs boot together, then race one after the other, while the second
// waits behind its first record and does nothing. A boot never takes a CPU that
// a race could have as soon as what boots or ends is over.
type schedule struct {
	total  int   // CPUs of the budget, numbered from 0
	free   []int // in order
	memory int64 // free bytes
	jobs   int   // machines at a time; 0 for no limit
	list   []*machine
}

// newSchedule makes one for so many CPUs and bytes of memory.
func newSchedule(cpus int, memory int64, jobs int) *schedule {
	s := &schedule{total: cpus, memory: memory, jobs: jobs}
	for i := range cpus {
		s.free = append(s.free, i)
	}
	return s
}

// boot files that m wants to boot.
func (s *schedule) boot(m *machine) {
	m.phase, m.waiting, m.cpus = phaseBoot, true, nil
	i, _ := slices.BinarySearchFunc(s.list, m, func(a, b *machine) int { return cmp.Compare(a.order, b.order) })
	s.list = slices.Insert(s.list, i, m)
}

// booted files that m is up and wants to race.
func (s *schedule) booted(m *machine) {
	s.giveBack(m, 0)
	m.phase, m.waiting = phaseRace, true
}

// raced files that m only has to power off.
func (s *schedule) raced(m *machine) {
	s.giveBack(m, 1)
	m.phase, m.waiting = phaseEnd, false
}

// ended files that m is no more, or does not want to be, whatever it did.
func (s *schedule) ended(m *machine) {
	i := slices.Index(s.list, m)
	if i < 0 {
		return
	}
	if s.alive(m) {
		s.memory += m.memory
	}
	s.giveBack(m, 0)
	s.list = slices.Delete(s.list, i, i+1)
}

// giveBack takes all but keep CPUs from m.
func (s *schedule) giveBack(m *machine, keep int) {
	keep = min(keep, len(m.cpus))
	s.free = append(s.free, m.cpus[keep:]...)
	slices.Sort(s.free)
	m.cpus = m.cpus[:keep:keep]
}

// alive says whether QEMU runs.
func (s *schedule) alive(m *machine) bool { return m.phase != phaseBoot || !m.waiting }

// wants is how many CPUs a race takes: a machine with more than there are has
// them all.
func (s *schedule) wants(m *machine) int { return min(m.vcpus, s.total) }

// grants gives out what can be given and returns who got it.
func (s *schedule) grants() []*machine {
	var out []*machine
	for {
		m, n := s.next()
		if m == nil {
			return out
		}
		if m.phase == phaseBoot {
			s.memory -= m.memory
		}
		m.waiting, m.cpus = false, slices.Clone(s.free[:n])
		s.free = slices.Clone(s.free[n:])
		out = append(out, m)
	}
}

// next is who gets how many CPUs now. The first race that waits goes before
// everything; no other race passes it, or it might never come to its turn.
func (s *schedule) next() (*machine, int) {
	free := len(s.free)
	if i := s.first(phaseRace); i >= 0 {
		want := s.wants(s.list[i])
		if free >= want {
			return s.list[i], want
		}
		// What boots or ends is soon over; would a new boot be in the way?
		if soon := s.shortlived(); free+soon >= want && free-1+soon < want {
			return nil, 0
		}
	}
	i := s.first(phaseBoot)
	if i < 0 || free == 0 || s.list[i].memory > s.memory {
		return nil, 0
	}
	alive, ahead := 0, 0
	for _, m := range s.list {
		if s.alive(m) {
			alive++
			if m.phase == phaseBoot || m.phase == phaseRace && m.waiting {
				ahead++
			}
		}
	}
	// Machines that wait for their race cost memory and win no time.
	if s.jobs > 0 && alive >= s.jobs || ahead >= s.total {
		return nil, 0
	}
	return s.list[i], 1
}

// first is the index of the first machine that waits for a phase, or -1.
func (s *schedule) first(p phase) int {
	return slices.IndexFunc(s.list, func(m *machine) bool { return m.waiting && m.phase == p })
}

// shortlived is how many CPUs boots and ends hold.
func (s *schedule) shortlived() int {
	n := 0
	for _, m := range s.list {
		if !m.waiting && m.phase != phaseRace {
			n += len(m.cpus)
		}
	}
	return n
}
