package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// pool is a set of groups of one kind, sorted by the order in which the kernel
// tells them. That order is fixed for their lifetime: by priority class, then
// by address (fsnotify_compare_groups, fs/notify/mark.c).
type pool struct {
	groups  []group // the first is told first
	current int     // extra groups that the last block ended up with
}

// poolSpare is how many times more groups a pool has than a block uses, where
// the kernel allows it: every block draws its own, so that blocks differ.
const poolSpare = 2

// openPool makes n groups for w and orders them by one event in dir.
func openPool(src eventSource, sc scenario, w matrix.Watch, dir string, n int) (*pool, error) {
	p := &pool{}
	for len(p.groups) < n {
		g, err := openGroup(src, w)
		if errors.Is(err, unix.EMFILE) && len(p.groups) > 1 {
			break // what the kernel gives has to do
		}
		if err != nil {
			p.close()
			return nil, err
		}
		p.groups = append(p.groups, g)
	}
	first, err := p.order(sc, src.companion(w), dir)
	if err == nil {
		var second []group
		if second, err = p.order(sc, src.companion(w), dir); err == nil && !slices.Equal(first, second) {
			err = errors.New("two events came to the groups in different orders")
		}
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("order the groups: %w", err)
	}
	p.groups = first
	return p, nil
}

// order lets one name die in a directory that all groups watch and returns
// them in the order in which they were told. epoll keeps its ready list in the
// order of the wake-ups (ep_poll_callback, fs/eventpoll.c), and a group wakes
// its waiters as soon as an event is queued: so one event orders all groups,
// with no race and on one CPU.
func (p *pool) order(sc scenario, w matrix.Watch, parent string) (ordered []group, err error) {
	dir, err := newDir(parent, "order")
	if err != nil {
		return nil, err
	}
	defer dir.remove()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	defer unix.Close(ep)
	for i, g := range p.groups {
		if sc.Object != matrix.ObjectFile {
			if err := markGroup(g, w, dir.path); err != nil {
				return nil, err
			}
		}
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(i)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, g.fd(), &ev); err != nil {
			return nil, fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	defer func() {
		for _, g := range p.groups {
			err = errors.Join(err, g.unmark())
		}
		p.drain()
	}()
	aside, err := newAside(sc, parent)
	if err != nil {
		return nil, err
	}
	defer aside.remove()
	v := &victim{dirfd: dir.fd, asidefd: aside.fd}
	v.set(0, 1)
	if errno := sc.create(v); errno != 0 {
		return nil, sc.failed(v, errno)
	}
	if sc.clean != nil {
		defer sc.clean(v)
	}
	if sc.Object == matrix.ObjectFile {
		for _, g := range p.groups {
			if err := markGroup(g, w, dir.file(v)); err != nil {
				return nil, err
			}
		}
	}
	ready := make([]unix.EpollEvent, len(p.groups)+1)
	p.drain() // a mask may ask for the events of the creation too
	if _, err := unix.EpollWait(ep, ready, 0); err != nil && err != unix.EINTR {
		return nil, fmt.Errorf("epoll_wait: %w", err)
	}
	if errno := sc.kill(v); errno != 0 {
		return nil, fmt.Errorf("delete a victim: %w", errno)
	}
	n, err := unix.EpollWait(ep, ready, 0)
	if err != nil {
		return nil, fmt.Errorf("epoll_wait: %w", err)
	}
	for _, ev := range ready[:n] {
		ordered = append(ordered, p.groups[ev.Fd])
	}
	if n != len(p.groups) {
		return nil, fmt.Errorf("%d of %d groups were told of a delete", n, len(p.groups))
	}
	return ordered, nil
}

// draw picks extra+1 groups at random, in order.
func (p *pool) draw(rng *rand.Rand, extra int) []group {
	picked := rng.Perm(len(p.groups))[:min(extra+1, len(p.groups))]
	slices.Sort(picked)
	out := make([]group, len(picked))
	for i, j := range picked {
		out[i] = p.groups[j]
	}
	return out
}

func (p *pool) drain() {
	buf := make([]byte, drainBuffer)
	var ev event
	for _, g := range p.groups {
		for {
			n, err := unix.Read(g.fd(), buf)
			if err != nil || n == 0 {
				break
			}
			for rest := buf[:n]; rest != nil; {
				rest = g.next(rest, &ev)
			}
		}
	}
}

// close ends all groups at once: each close waits for an SRCU grace period
// (fsnotify_destroy_group), and waiting together they share one.
func (p *pool) close() {
	var wg sync.WaitGroup
	for _, g := range p.groups {
		wg.Go(func() { g.close() })
	}
	wg.Wait()
	p.groups = nil
}

// dir is a directory in which one block's names die: a fresh one, except on
// filesystems where none can be made.
type dir struct {
	path string
	fd   int
	flat bool // it was there before, and stays
}

var dirCount int // of newDir, so that no path comes twice; only the main goroutine makes directories

func newDir(parent, prefix string) (*dir, error) {
	dirCount++
	d := &dir{path: parent + "/" + prefix + strconv.Itoa(dirCount)}
	if flat[parent] {
		d.path, d.flat = parent, true
	} else if err := unix.Mkdir(d.path, 0o755); err != nil {
		return nil, fmt.Errorf("mkdir %s: %w", d.path, err)
	}
	var err error
	if d.fd, err = unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		if !d.flat {
			unix.Rmdir(d.path)
		}
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	return d, nil
}

// newAside makes the second directory of a scenario that asks for one.
func newAside(sc scenario, parent string) (*dir, error) {
	if !sc.aside {
		return &dir{fd: -1}, nil
	}
	return newDir(parent, "aside")
}

// file is the path of a victim in d.
func (d *dir) file(v *victim) string { return d.path + "/" + string(v.name[:v.nameLen]) }

// remove removes d with what is left in it: a block can end in the middle of a
// batch.
func (d *dir) remove() {
	if d.fd < 0 {
		return
	}
	unix.Close(d.fd)
	if !d.flat {
		os.RemoveAll(d.path)
	}
}
