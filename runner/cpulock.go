package runner

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// cpuLocks keep the races of several kqual processes with one cache apart: a
// race holds a lock for each of its host CPUs. The kernel gives back what a
// process that was killed held.
type cpuLocks struct{ dir string }

// newCPULocks keeps them in a directory; without one, races do not wait.
func newCPULocks(dir string) cpuLocks {
	if dir == "" || os.MkdirAll(dir, 0o755) != nil {
		return cpuLocks{}
	}
	return cpuLocks{dir}
}

// cpuPoll is how often a race looks whether its CPUs are free.
const cpuPoll = 20 * time.Millisecond

// cpuClaim are the locks of one race.
type cpuClaim struct {
	mu    sync.Mutex
	over  bool
	done  chan struct{}
	locks []*flock.Flock
}

func newCPUClaim() *cpuClaim { return &cpuClaim{done: make(chan struct{})} }

// take waits until no other process races on these host CPUs, in ascending
// order, or until the claim is given up. Where no lock can be had at all, as on
// a file system that is full, the race goes on without.
func (l cpuLocks) take(c *cpuClaim, cpus []int) {
	if l.dir == "" {
		return
	}
	for _, cpu := range cpus {
		lock := flock.New(filepath.Join(l.dir, fmt.Sprintf("cpu-%d", cpu)))
		for !c.try(lock) {
			select {
			case <-c.done:
				return
			case <-time.After(cpuPoll):
			}
		}
	}
}

// try takes one lock, if it is free; true means that there is nothing to wait
// for.
func (c *cpuClaim) try(lock *flock.Flock) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return true
	}
	got, err := lock.TryLock()
	if got {
		c.locks = append(c.locks, lock)
	}
	return got || err != nil
}

// giveUp gives back what is held and ends a take that waits.
func (c *cpuClaim) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.done)
	for _, lock := range c.locks {
		_ = lock.Unlock()
	}
}
