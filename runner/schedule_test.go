package runner

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kqual/matrix"
)

// Whatever comes: no CPU belongs to two machines, a race has its CPUs alone,
// memory and jobs stay within their bounds, and everybody comes to an end.
func TestScheduleNeverOversubscribes(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		cpus, jobs := 1+rng.IntN(9), rng.IntN(4)
		memory := int64(4 + rng.IntN(12))
		var list []course
		for i := range 1 + rng.IntN(20) {
			d := func() time.Duration { return time.Duration(rng.IntN(5)) * time.Second }
			list = append(list, course{
				m:     machine{order: i, vcpus: 1 + rng.IntN(5), memory: int64(1 + rng.IntN(4))},
				ready: time.Duration(rng.IntN(2)) * d(), boot: d(), race: d(), end: d(),
			})
		}
		s := newSchedule(cpus, memory, jobs)
		raced := map[int]bool{}
		simulate(s, list, func(now time.Duration) {
			if wrong := oversubscribed(s, memory); wrong != "" {
				t.Fatalf("seed %d at %s: %s", seed, now, wrong)
			}
			for _, m := range s.list {
				if m.phase == phaseRace && !m.waiting {
					raced[m.order] = true
				}
			}
		})
		if len(raced) != len(list) || len(s.list) != 0 {
			t.Fatalf("seed %d: %d of %d machines raced, %d are left", seed, len(raced), len(list), len(s.list))
		}
	}
}

// oversubscribed says what a schedule has given out that it did not have, or
// lost.
func oversubscribed(s *schedule, memory int64) string {
	owner := map[int]int{}
	var used int64
	alive := 0
	for _, m := range s.list {
		for _, c := range m.cpus {
			if o, taken := owner[c]; taken || c < 0 || c >= s.total {
				return fmt.Sprintf("CPU %d of %d belongs to %d and %d", c, s.total, o, m.order)
			}
			owner[c] = m.order
		}
		if s.alive(m) {
			alive++
			used += m.memory
		}
		if m.phase == phaseRace && !m.waiting && len(m.cpus) != s.wants(m) {
			return fmt.Sprintf("the race of %d has %d CPUs, want %d", m.order, len(m.cpus), s.wants(m))
		}
	}
	if used > memory || s.jobs > 0 && alive > s.jobs {
		return fmt.Sprintf("%d machines (of %d) use %d of %d", alive, s.jobs, used, memory)
	}
	if len(owner)+len(s.free) != s.total || s.memory != memory-used {
		return "a CPU or memory is lost"
	}
	return ""
}

// The same for machines that end at any moment and come again, as those that
// crash do.
func TestScheduleTakesBackWhatAMachineHad(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		memory := int64(3 + rng.IntN(5))
		s := newSchedule(1+rng.IntN(5), memory, rng.IntN(3))
		machines := make([]*machine, 6)
		for i := range machines {
			machines[i] = &machine{order: i, vcpus: 1 + rng.IntN(3), memory: 1 + int64(rng.IntN(3))}
		}
		for range 200 {
			m := machines[rng.IntN(len(machines))]
			switch there := slices.Contains(s.list, m); {
			case !there:
				s.boot(m)
			case rng.IntN(4) == 0:
				s.ended(m)
			case m.phase == phaseBoot && !m.waiting:
				s.booted(m)
			case m.phase == phaseRace: // a guest may say done before it was its turn
				s.raced(m)
			}
			s.grants()
			if wrong := oversubscribed(s, memory); wrong != "" {
				t.Fatalf("seed %d: %s", seed, wrong)
			}
		}
		for _, m := range machines {
			s.ended(m)
			s.ended(m) // once more does no harm
			s.grants()
		}
		if len(s.free) != s.total || s.memory != memory || len(s.list) != 0 {
			t.Fatalf("seed %d: %d of %d CPUs and %d of %d bytes are free in the end", seed, len(s.free), s.total, s.memory, memory)
		}
	}
}

func courses(n, vcpus int, boot, race, end time.Duration) []course {
	var list []course
	for i := range n {
		list = append(list, course{m: machine{order: i, vcpus: vcpus, memory: 1}, boot: boot, race: race, end: end})
	}
	return list
}

func TestScheduleTimes(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name         string
		cpus, jobs   int
		memory       int64
		list         []course
		want, serial time.Duration
	}{
		// Two boots at a time, races one after the other.
		{"pairs", 2, 0, 99, courses(4, 2, 2*s, 10*s, 0), 44 * s, 48 * s},
		{"alone", 2, 1, 99, courses(4, 2, 2*s, 10*s, 0), 48 * s, 48 * s},
		{"memory for one", 2, 0, 1, courses(4, 2, 2*s, 10*s, 0), 48 * s, 48 * s},
		{"side by side", 2, 0, 99, courses(4, 1, 2*s, 10*s, 0), 24 * s, 48 * s},
		{"one CPU", 1, 0, 99, courses(2, 2, 2*s, 10*s, s), 26 * s, 26 * s},
		{"four CPUs", 4, 0, 99, courses(8, 2, 2*s, 10*s, 0), 44 * s, 96 * s},
	} {
		if got := simulate(newSchedule(tt.cpus, tt.memory, tt.jobs), tt.list, nil); got != tt.want {
			t.Errorf("%s: %s, want %s of %s", tt.name, got, tt.want, tt.serial)
		}
	}
}

// A long build must not keep the cached ones from racing.
func TestScheduleDoesNotWaitForAKernelThatIsNotThere(t *testing.T) {
	list := courses(3, 2, time.Second, 5*time.Second, 0)
	list[0].ready = time.Hour
	var first []int
	s := newSchedule(2, 9, 0)
	simulate(s, list, func(time.Duration) {
		for _, m := range s.list {
			if m.phase == phaseRace && !m.waiting && !slices.Contains(first, m.order) {
				first = append(first, m.order)
			}
		}
	})
	if want := []int{1, 2, 0}; !slices.Equal(first, want) {
		t.Errorf("raced in the order %v, want %v", first, want)
	}
}

func TestBudgetSaysWhatNeverFits(t *testing.T) {
	k := matrix.Kernel{Name: "big", Machine: matrix.Machine{VCPUs: 2, Memory: 8 << 30}}
	err := Budget{CPUs: 2, Memory: 4 << 30}.Check(k)
	var f *matrix.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v", err)
	}
	want := "kernel big: its machine needs 8288 MiB of memory (8192 MiB and QEMU's own), and all machines together may use 4096 MiB"
	if f.Reason != want || f.Hint == "" {
		t.Errorf("got %q", f.Reason)
	}
	if err := (Budget{CPUs: 2, Memory: 9 << 30}).Check(k); err != nil {
		t.Error(err)
	}
}
