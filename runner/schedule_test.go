package runner

import (
	"errors"
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
			owner := map[int]int{}
			var used int64
			alive := 0
			for _, m := range s.list {
				for _, c := range m.cpus {
					if o, taken := owner[c]; taken || c < 0 || c >= cpus {
						t.Fatalf("seed %d at %s: CPU %d of %d belongs to %d and %d", seed, now, c, cpus, o, m.order)
					}
					owner[c] = m.order
				}
				if s.alive(m) {
					alive++
					used += m.memory
				}
				if m.phase == phaseRace && !m.waiting {
					raced[m.order] = true
					if want := min(m.vcpus, cpus); len(m.cpus) != want {
						t.Fatalf("seed %d at %s: a race of %d has %d CPUs, want %d", seed, now, m.order, len(m.cpus), want)
					}
				}
			}
			if used > memory || jobs > 0 && alive > jobs {
				t.Fatalf("seed %d at %s: %d machines (of %d) use %d of %d", seed, now, alive, jobs, used, memory)
			}
			if len(owner)+len(s.free) != cpus || s.memory != memory-used {
				t.Fatalf("seed %d at %s: lost a CPU or memory", seed, now)
			}
		})
		if len(raced) != len(list) || len(s.list) != 0 {
			t.Fatalf("seed %d: %d of %d machines raced, %d are left", seed, len(raced), len(list), len(s.list))
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
