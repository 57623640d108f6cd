package runner

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cpuLocks keep several kqual processes of a host apart: races that share a CPU
// take a hundred times as long, and most of their trials are not decisive; one
// beside a boot that hung, with all its CPUs busy, made 28 trials in 12 seconds.
// A race holds, for each of its host CPUs, the name of a socket in the abstract
// namespace (unix(7)), a boot for the one that it needs: only one process can
// bind it, whoever runs it, and the kernel gives back what a process that was
// killed held.
type cpuLocks struct {
	prefix string // of the names; empty for no locks
}

// hostLocks is the prefix of every kqual process.
var hostLocks = "kqual/cpu/"

const (
	// cpuPoll is how often somebody who waits looks whether a CPU is free.
	cpuPoll = 20 * time.Millisecond
	// cpuPatience is how long it takes until a wait is worth a word.
	cpuPatience = 2 * time.Second
)

// cpuClaim are the locks of one boot or race, as sockets.
type cpuClaim struct {
	mu   sync.Mutex
	over bool
	done chan struct{}
	held []int
}

func newCPUClaim() *cpuClaim { return &cpuClaim{done: make(chan struct{})} }

// take waits until no other process has any of these host CPUs, in ascending
// order, and calls waits where that lasts; false means that the claim was given
// up. Where no lock can be had at all, it goes on without.
func (l cpuLocks) take(c *cpuClaim, cpus []int, waits func()) bool {
	for _, cpu := range cpus {
		if !l.takeOne(c, []int{cpu}, waits) {
			return false
		}
	}
	return !c.isOver()
}

// takeOne is take for one of these host CPUs, whichever is free.
func (l cpuLocks) takeOne(c *cpuClaim, cpus []int, waits func()) bool {
	patience := time.AfterFunc(cpuPatience, waits)
	defer patience.Stop()
	free := func(cpu int) bool { return c.try(l.prefix + strconv.Itoa(cpu)) }
	for l.prefix != "" && len(cpus) > 0 && !slices.ContainsFunc(cpus, free) {
		select {
		case <-c.done:
			return false
		case <-time.After(cpuPoll):
		}
	}
	return !c.isOver()
}

func (c *cpuClaim) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// try takes one lock, if it is free; true means that there is nothing to wait
// for.
func (c *cpuClaim) try(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return true
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name}); err != nil {
		_ = unix.Close(fd)
		return !errors.Is(err, unix.EADDRINUSE)
	}
	c.held = append(c.held, fd)
	return true
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
	for _, fd := range c.held {
		_ = unix.Close(fd)
	}
}
