package guest

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

const (
	// drainBuffer holds a few hundred events, in bytes.
	drainBuffer = 64 << 10
	// drainsPerTrial is the number of companions whose queue the reader empties
	// while the deleter makes the next victim. With 64 companions a queue then
	// holds about 32 events, far below fs.inotify.max_queued_events (16,384).
	drainsPerTrial = 2
	// eventTimeout is how long a reader waits for an event. A delete takes well
	// under a millisecond; this only has to outlast a stalled host.
	eventTimeout = 5 * time.Second
	// spinsPerYield is how often a waiting thread looks before it offers its
	// CPU to others.
	spinsPerYield = 1 << 14
)

// pad keeps what two threads write on cache lines of their own.
type pad [64]byte

// block runs trials in one directory with one choice of groups. The deleter is
// the goroutine that calls trial; the reader runs beside it. They work in
// lock-step, one name at a time, and neither allocates.
type block struct {
	sc      scenario
	groups  []group // in the order of telling; the reader's is the first
	victim  victim
	partner *partner     // holds the victims; nil where nobody does
	holding bool         // it holds some
	path    string       // of the directory
	mark    func() error // makes the groups watch the victim; nil where they watch its directory
	nonce   uint64
	seq     int
	base    time.Time // of all times in a block

	_        pad
	ready    atomic.Int64 // deleter: the victim of this trial exists; -1 ends the reader
	_        pad
	armed    atomic.Int64 // reader: waiting for the event of this trial
	_        pad
	returned atomic.Int64 // deleter: the delete call of this trial returned
	_        pad
	done     atomic.Int64 // reader: this trial's result is in
	_        pad

	reader reader
	ended  chan struct{}
}

// reader is the state of the reading side. Everything is allocated up front.
type reader struct {
	b        *block
	group    group
	sentinel group // nil where there is none
	check    check
	bits     uint64 // that decide
	blocking bool   // wait in poll(2) instead of spinning: one CPU
	listfd   int    // the directory, for getdents
	event    event
	stat     unix.Stat_t
	opened   fileHandle
	mountID  int32
	queue    []byte
	list     []byte
	content  []byte
	fionread int32

	noisy      bool // there are more events than the deciding one
	nameless   bool // the deciding event has no name: the file itself is watched
	duplicates int  // since the last trial
	companion  int  // rank of the group that was emptied last

	// The result of the current trial, written before done is stored.
	res result
}

// result is what the reader saw in one trial.
type result struct {
	began     time.Duration // of the reader's first action, since block.base
	toldLate  bool          // the sentinel had not been told when it began
	opened    bool
	found     identity // what was opened
	dead      bool     // the check says so
	lost      bool
	overflow  bool
	duplicate int
	errno     unix.Errno // of an open that failed with anything else than ENOENT
	rearm     unix.Errno // of placing the watch again
}

// newBlock places the marks and starts the reader. sentinel is the rank of the
// sentinel's group, 0 where there is none.
func newBlock(sc scenario, ck check, uid int, d *dir, groups []group, sentinel int, noisy bool, cpus int, nonce uint64) (*block, error) {
	b := &block{
		sc: sc, groups: groups, path: d.path, nonce: nonce, base: time.Now(),
	}
	b.victim.dirfd = d.fd
	r := &b.reader
	*r = reader{
		b: b, group: groups[0], check: ck, bits: sc.bits, blocking: cpus == 1, noisy: noisy,
		nameless: sc.Object == matrix.ObjectFile,
		queue:    make([]byte, drainBuffer), list: make([]byte, 4096), content: make([]byte, 256),
	}
	if sentinel > 0 {
		r.sentinel = groups[sentinel]
	}
	var err error
	if r.listfd, err = unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	b.armed.Store(0)
	if b.ended, err = readerThread(uid, cpus, r.loop); err != nil {
		unix.Close(r.listfd)
		return nil, err
	}
	return b, nil
}

// close ends the reader and has what is held released.
func (b *block) close() error {
	b.ready.Store(-1)
	<-b.ended
	unix.Close(b.reader.listfd)
	return b.release()
}

// hold has the partner hold the victim and those that follow it, when the victim
// is the first of its batch.
func (b *block) hold() error {
	if b.partner == nil || b.seq%b.sc.held != 1 {
		return nil
	}
	if err := b.release(); err != nil {
		return err
	}
	if err := b.partner.hold(b.path, b.seq, b.sc.held); err != nil {
		return err
	}
	b.holding = true
	return nil
}

// release has the partner release what it holds. Without its answer nobody knows
// whether the victims were held all the time.
func (b *block) release() error {
	if !b.holding {
		return nil
	}
	b.holding = false
	return b.partner.release()
}

// trial runs one create–delete–event–open and adds it to c.
func (b *block) trial(c *matrix.Counts) error {
	b.seq++
	n := int64(b.seq)
	v := &b.victim
	v.set(b.nonce, b.seq)
	if errno := b.sc.create(v); errno != 0 {
		return b.sc.failed(v, errno)
	}
	if b.mark != nil {
		if err := b.mark(); err != nil {
			return err
		}
	}
	if err := b.hold(); err != nil {
		return err
	}
	b.ready.Store(n)
	waitFor(&b.armed, n)
	errno := b.sc.kill(v)
	end := time.Since(b.base)
	if b.sc.after != nil && errno == 0 {
		errno = b.sc.after(v)
	}
	b.returned.Store(n)
	waitFor(&b.done, n)
	if b.sc.clean != nil {
		b.sc.clean(v)
	}
	if errno != 0 {
		return fmt.Errorf("delete %s: %w", v.name[:v.nameLen], errno)
	}
	return b.reader.res.count(c, end)
}

// count adds the result to c; end is when the delete call returned.
func (res *result) count(c *matrix.Counts, end time.Duration) error {
	c.Duplicates += res.duplicate
	switch {
	case res.rearm != 0:
		return fmt.Errorf("place the watch again: %w", res.rearm)
	case res.errno != 0:
		return fmt.Errorf("open the name: %w", res.errno)
	case res.overflow:
		c.Overflows++
		return nil
	}
	c.Trials++
	if res.lost {
		c.Lost++
		return nil
	}
	contested := res.began < end
	decisive := contested && res.toldLate
	if contested {
		c.Contested++
	}
	if decisive {
		c.Decisive++
	}
	stale := res.opened && res.found == isVictim
	switch {
	case stale:
		c.Stale++
		if decisive {
			c.StaleDecisive++
		}
		if res.dead {
			c.Recognised++
			if decisive {
				c.RecognisedDecisive++
			}
		}
	case res.opened:
		if res.found != isReplacement {
			c.Foreign++
		}
		if res.dead {
			c.FalseAlarms++
		}
	}
	return nil
}

func (r *reader) loop() {
	for n := int64(1); ; n++ {
		if waitFor(&r.b.ready, n) < 0 {
			return
		}
		if r.noisy {
			r.clear(false)
		}
		r.res = result{duplicate: r.duplicates}
		r.duplicates = 0
		if !r.nameless { // a watch on the file itself goes with the file
			r.res.rearm = r.group.rearm()
		}
		r.b.armed.Store(n)
		if r.res.rearm == 0 && r.await() {
			r.act()
		}
		waitFor(&r.b.returned, n)
		r.b.done.Store(n)
		// The deleter makes the next victim meanwhile.
		r.clear(true)
		for range min(drainsPerTrial, len(r.b.groups)-1) {
			r.companion = r.companion%(len(r.b.groups)-1) + 1
			r.empty(r.b.groups[r.companion], false)
		}
	}
}

// clear empties the reader's and the sentinel's queue before a trial; count
// counts duplicates.
func (r *reader) clear(count bool) {
	r.empty(r.group, count)
	if r.sentinel != nil {
		r.empty(r.sentinel, false)
	}
}

// empty reads a queue until nothing is left. A deciding event in the reader's
// own queue belongs to a name that is already through: it is a duplicate.
func (r *reader) empty(g group, own bool) {
	for {
		n, errno := rawRead(g.fd(), r.queue)
		if errno != 0 || n == 0 {
			return
		}
		for rest := g.next(r.queue[:n], &r.event); rest != nil; rest = g.next(rest, &r.event) {
			if own && r.event.mask&r.bits != 0 {
				r.duplicates++
			}
		}
		if n < len(r.queue)/2 {
			return
		}
	}
}

// await returns when the deciding event for the victim's name has been read.
func (r *reader) await() bool {
	v := &r.b.victim
	name := v.name[:v.nameLen]
	deadline := time.Since(r.b.base) + eventTimeout
	fd := r.group.fd()
	for spins := 1; ; spins++ {
		if r.blocking {
			pollIn(fd, eventTimeout)
		}
		n, errno := rawRead(fd, r.queue)
		if errno != 0 || n == 0 {
			if (r.blocking || spins%1024 == 0) && time.Since(r.b.base) > deadline {
				r.res.lost = true
				return false
			}
			continue
		}
		for rest := r.group.next(r.queue[:n], &r.event); rest != nil; rest = r.group.next(rest, &r.event) {
			if r.event.mask&queueOverflow != 0 {
				r.res.overflow = true
				return false
			}
			if r.event.mask&r.bits != 0 && (r.nameless || string(r.event.name) == string(name)) {
				return true
			}
		}
	}
}

// act is what an application does with the event: the check, if it comes
// before the open, and the open. The clock and the sentinel are read first.
func (r *reader) act() {
	v := &r.b.victim
	res := &r.res
	res.began = time.Since(r.b.base)
	if r.sentinel != nil {
		_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(r.sentinel.fd()), unix.TIOCINQ, uintptr(unsafe.Pointer(&r.fionread)))
		res.toldLate = errno == 0 && r.fionread == 0
	}
	if r.check.before != nil {
		r.check.before(r)
	}
	fd, errno := r.b.sc.open(v)
	if errno != 0 {
		if errno != unix.ENOENT {
			res.errno = errno
		}
		return
	}
	res.opened = true
	if r.check.dead != nil {
		res.dead = r.check.dead(r, fd)
	}
	res.found = r.b.sc.identify(v, fd, r.content)
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// waitFor spins until a has reached n or is negative, and returns it.
func waitFor(a *atomic.Int64, n int64) int64 {
	for spins := 1; ; spins++ {
		if got := a.Load(); got >= n || got < 0 {
			return got
		}
		if spins%spinsPerYield == 0 || oneCPU {
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
}

// oneCPU makes waiting threads yield at every look; set once at start.
var oneCPU bool

func rawRead(fd int, buf []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), errno
}

// pollIn waits until fd can be read or the time is up.
func pollIn(fd int, timeout time.Duration) {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	ts := unix.NsecToTimespec(timeout.Nanoseconds())
	unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}

// pinTo keeps the calling thread on one CPU.
func pinTo(cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	unix.SchedSetaffinity(0, &set)
}
