package runner

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cpuLocks keep races and boots apart, those of this process and of the other
// kqual processes of a host: races that share a CPU take a hundred times as
// long, and most of their trials are not decisive; one beside a boot that hung,
// with all its CPUs busy, made 28 trials in 12 seconds.
//
// A race holds, for each of its host CPUs, the name of a socket in the abstract
// namespace (unix(7)), a boot for the one that it needs: only one process can
// bind it, whoever runs it, and the kernel gives back what a process that was
// killed held. They queue at a door, or a race that needs two CPUs might wait for
// ever while others take one after the other.
type cpuLocks struct {
	prefix string // of the sockets; empty keeps no other process away

	mu   sync.Mutex
	held map[int]int // host CPU, or door → socket, noSocket where there is none
}

// hostLocks is the prefix of every kqual process.
var hostLocks = "kqual/cpu/"

const (
	noSocket = -1
	// door is locked like a CPU, by whoever comes next.
	door = -1
)

const (
	// cpuPoll is how often somebody who waits looks whether a CPU is free.
	cpuPoll = 20 * time.Millisecond
	// cpuPatience is how long it takes until a wait is worth a word.
	cpuPatience = 2 * time.Second
)

func newCPULocks(prefix string) *cpuLocks {
	return &cpuLocks{prefix: prefix, held: map[int]int{}}
}

// try takes a CPU, if nobody has it. Where no socket can be had at all, only
// this process knows of it.
func (l *cpuLocks) try(cpu int) bool {
	_, free := l.look(cpu, true)
	return free
}

// foreign says whether another process has a CPU now.
func (l *cpuLocks) foreign(cpu int) bool {
	mine, free := l.look(cpu, false)
	return !mine && !free
}

// look says whether this process has a CPU, or nobody, and then keeps it or not.
func (l *cpuLocks) look(cpu int, keep bool) (mine, free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, mine := l.held[cpu]; mine {
		return true, false
	}
	fd, free := l.bind(cpu)
	switch {
	case free && keep:
		l.held[cpu] = fd
	case free:
		unbind(fd)
	}
	return false, free
}

// release gives CPUs back.
func (l *cpuLocks) release(cpus []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cpu := range cpus {
		unbind(l.held[cpu])
		delete(l.held, cpu)
	}
}

// bind binds the socket of a CPU; free is false where another process has.
func (l *cpuLocks) bind(cpu int) (fd int, free bool) {
	if l.prefix == "" {
		return noSocket, true
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return noSocket, true
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + l.prefix + strconv.Itoa(cpu)}); err != nil {
		_ = unix.Close(fd)
		return noSocket, !errors.Is(err, unix.EADDRINUSE)
	}
	return fd, true
}

func unbind(fd int) {
	if fd != noSocket {
		_ = unix.Close(fd)
	}
}

// cpuClaim is what one boot or race has of the locks, or waits for.
type cpuClaim struct {
	locks *cpuLocks
	done  chan struct{} // closed when it is given up

	mu   sync.Mutex
	over bool
	held []int // while it waits with the door first
}

func newCPUClaim(locks *cpuLocks) *cpuClaim {
	return &cpuClaim{locks: locks, done: make(chan struct{})}
}

// take waits until n of these host CPUs can be had, whichever they are, and calls
// waits where that lasts. It returns them in ascending order; false means that
// the claim was given up.
//
// Who waits keeps what it has got already. That cannot end with two who wait for
// each other: only one is through the door, and nobody comes to it with a CPU.
func (c *cpuClaim) take(n int, cpus []int, waits func()) ([]int, bool) {
	patience := time.AfterFunc(cpuPatience, waits)
	defer patience.Stop()
	if !c.collect(1, []int{door}) || !c.collect(1+min(n, len(cpus)), cpus) {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, false
	}
	c.locks.release(c.held[:1])
	c.held = c.held[1:]
	return slices.Sorted(slices.Values(c.held)), true
}

// collect takes what can be had of cpus until it holds n; false means that the
// claim was given up.
func (c *cpuClaim) collect(n int, cpus []int) bool {
	for {
		switch has, over := c.try(n, cpus); {
		case over:
			return false
		case has:
			return true
		}
		select {
		case <-c.done:
			return false
		case <-time.After(cpuPoll):
		}
	}
}

// try is one look of collect.
func (c *cpuClaim) try(n int, cpus []int) (has, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false, true
	}
	for _, cpu := range cpus {
		if len(c.held) < n && c.locks.try(cpu) {
			c.held = append(c.held, cpu)
		}
	}
	return len(c.held) == n, false
}

func (c *cpuClaim) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
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
	c.locks.release(c.held)
}
