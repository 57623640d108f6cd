package runner

import (
	"context"
	"fmt"
	"testing"
	"time"

	"kqual/matrix"
)

// span is when the cells of a kernel ran, on the host's clock.
type span struct{ begin, end time.Time }

func (s span) overlaps(o span) bool { return s.begin.Before(o.end) && o.begin.Before(s.end) }

// haveTheHost keeps other kqual processes off the host's CPUs until the end of
// the test, whose own machines have locks of their own meanwhile, or boot without
// turns.
func haveTheHost(t testing.TB) {
	t.Helper()
	theirs, all := hostLocks, newCPUClaim(newCPULocks(hostLocks))
	all.take(len(hostCPUs()), hostCPUs(), func() { t.Log("waiting for other processes") })
	hostLocks = testLocks()
	t.Cleanup(func() {
		hostLocks = theirs
		all.giveUp()
	})
}

// Two machines whose races fit on the host's CPUs run side by side; two that do
// not take turns, and only their boots go together.
func TestVMRacesShareNoCPU(t *testing.T) {
	needVM(t)
	haveTheHost(t)
	for _, tt := range []struct {
		vcpus      int
		sideBySide bool
	}{{1, true}, {2, false}} {
		t.Run(fmt.Sprintf("%d vCPUs", tt.vcpus), func(t *testing.T) {
			cfg, _ := testRun(t, fmt.Sprintf(`version: 1
name: test
machine: {vcpus: %d}
sampling: {max_time: 2s}
kernels:
  - name: a
    %s
  - name: b
    %s
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
`, tt.vcpus, debian11, debian11))
			cfg.Budget = Budget{CPUs: 2, Memory: 4 << 30}
			booted, spans := map[string]time.Time{}, map[string]span{}
			cfg.OnEvent = func(ev Event) {
				s := spans[ev.Kernel]
				switch {
				case ev.Boot != nil:
					booted[ev.Kernel] = time.Now()
				case ev.Begin != nil && s.begin.IsZero():
					s.begin = time.Now()
				case ev.Cell != nil:
					s.end = time.Now()
				}
				spans[ev.Kernel] = s
			}
			runs, err := Run(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			var held time.Duration
			for _, r := range runs {
				for _, c := range r.Cells {
					if c.Outcome == nil || c.Outcome.Status != matrix.Measured {
						t.Fatalf("%s: %v", c.Cell.ID(), c.Error)
					}
				}
				for _, b := range r.Boots {
					held = max(held, b.Held)
				}
			}
			a, b := spans["a"], spans["b"]
			t.Logf("a raced for %s, b for %s; b began %s after a; one waited %s", a.end.Sub(a.begin), b.end.Sub(b.begin), b.begin.Sub(a.begin), held)
			if a.overlaps(b) != tt.sideBySide {
				t.Errorf("a %v, b %v: side by side is %v, want %v", a, b, a.overlaps(b), tt.sideBySide)
			}
			if !tt.sideBySide && (held < time.Second || booted["b"].After(a.end)) {
				t.Errorf("the second was not booted while the first raced: it waited %s", held)
			}
		})
	}
}

// A machine that never fits costs its own kernel, with the flag to turn.
func TestVMWhatNeverFitsIsNamed(t *testing.T) {
	needVM(t)
	cfg, _ := testRun(t, fmt.Sprintf(`version: 1
name: test
sampling: {detection_limit: 0.5%%}
kernels:
  - name: fits
    %s
  - name: large
    %s
    machine: {memory: 2GiB}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
`, debian11, debian11))
	cfg.Budget = Budget{CPUs: 2, Memory: 1 << 30}
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c := runs[0].Cells[0]; c.Outcome == nil {
		t.Errorf("fits: %v", c.Error)
	}
	if e := runs[1].Error; e == nil || e.Hint != "raise --memory, or lower machine.memory in the matrix" || len(runs[1].Boots) > 0 {
		t.Errorf("large: %v", e)
	}
}
