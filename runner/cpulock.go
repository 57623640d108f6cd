package runner

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cpuLocks keep the races of several kqual processes of a host apart: two that
// share a CPU take a hundred times as long, and most of their trials are not
// decisive. A race holds, for each of its host CPUs, the name of a socket in the
// abstract namespace (unix(7)): only one process can bind it, whoever runs it,
// and the kernel gives back what a process that was killed held.
type cpuLocks struct {
	prefix string // of the names; empty for no locks
}

// hostLocks are those of every kqual process.
const hostLocks = "kqual/cpu/"

// cpuPoll is how often a race looks whether its CPUs are free.
const cpuPoll = 20 * time.Millisecond

// cpuClaim are the locks of one race, as sockets.
type cpuClaim struct {
	mu   sync.Mutex
	over bool
	done chan struct{}
	held []int
}

func newCPUClaim() *cpuClaim { return &cpuClaim{done: make(chan struct{})} }

// take waits until no other process races on these host CPUs, in ascending
// order; false means that the claim was given up. Where no lock can be had at
// all, the race goes on without.
func (l cpuLocks) take(c *cpuClaim, cpus []int) bool {
	if l.prefix == "" {
		cpus = nil
	}
	for _, cpu := range cpus {
		for !c.try(l.prefix + strconv.Itoa(cpu)) {
			select {
			case <-c.done:
				return false
			case <-time.After(cpuPoll):
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over
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
