package guest

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

const (
	// churnQuiet is how long a reader waits for a further event once the
	// deleter is through.
	churnQuiet = 300 * time.Millisecond
)

// churn is a natural scenario: one process creates and deletes as fast as it
// can, another reads one group's events and opens every name it is told of.
// Nothing holds them in step but the end of a round,
// so there is no telling which trials were contested, and nothing widens the
// window.
type churn struct {
	names  int  // in a round
	first  int  // number of the first name
	buffer int  // bytes that one read(2) takes
	batch  bool // create all, then delete all
	fresh  bool // a new directory and a new group for every round
	poll   bool // wait in poll(2), then read; else look again and again
}

// churn runs rounds until the stopper or max_time ends it.
func (m *machine) churn(out *matrix.Outcome, src eventSource, sc scenario, ck check, w matrix.Watch, root string, stopper matrix.Stopper) error {
	var s *churnStage
	defer func() {
		if s != nil {
			s.close()
		}
	}()
	begin := time.Now()
	p, err := startPartner()
	out.Setup = time.Since(begin)
	if err != nil {
		return err
	}
	defer p.close()
	nonce := m.rng.Uint64()
	for round := 1; out.Stop == ""; round++ {
		begin := time.Now()
		if s == nil || sc.churn.fresh {
			if s != nil {
				s.close()
			}
			var err error
			if s, err = openChurn(src, sc, w, root); err != nil {
				return err
			}
		}
		setup := time.Since(begin)
		r, err := s.round(p, sc, ck, w.UID, nonce, round, m.cpus)
		if err != nil {
			return err
		}
		if r.firstStale > 0 && out.Counts.Stale == 0 {
			out.FirstStale = out.Elapsed + r.firstStale
		}
		for i, c := range r.parts {
			bl := matrix.Block{Counts: c, Groups: 1, Elapsed: r.elapsed / time.Duration(len(r.parts))}
			if i == 0 {
				bl.Setup = setup
			}
			out.Blocks = append(out.Blocks, bl)
			out.Counts.Add(c)
		}
		out.Setup += setup
		out.Elapsed += r.elapsed
		m.beat(out.Counts)
		if out.Stop = stopper.Stop(out.Blocks); out.Stop == "" && out.Elapsed >= stopper.MaxTime {
			out.Stop = matrix.StopMaxTime
		}
	}
	return nil
}

// churnStage is a directory with its one group.
type churnStage struct {
	dir   *dir
	group group
}

func openChurn(src eventSource, sc scenario, w matrix.Watch, root string) (*churnStage, error) {
	d, err := newDir(root, "churn")
	if err != nil {
		return nil, err
	}
	s := &churnStage{dir: d}
	if s.group, err = openGroup(src, w); err != nil {
		d.remove()
		return nil, err
	}
	if err := markGroup(s.group, w, d.path); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *churnStage) close() {
	s.group.close()
	s.dir.remove()
}

// round has the partner let every name live and die once.
func (s *churnStage) round(p *partner, sc scenario, ck check, uid int, nonce uint64, round, cpus int) (*churnReader, error) {
	listfd, err := unix.Open(s.dir.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.dir.path, err)
	}
	defer unix.Close(listfd)
	c := sc.churn
	r := &churnReader{
		churn: c, bits: sc.bits,
		reader: reader{
			group: s.group, check: ck, listfd: listfd,
			queue: make([]byte, c.buffer), list: make([]byte, 4096), content: make([]byte, 256),
		},
		victim: victim{dirfd: s.dir.fd},
		parts:  make([]matrix.Counts, max(1, c.names*matrix.NaturalBlocks/matrix.NaturalTrials)),
	}
	r.victim.setRound(nonce, 0, round)
	r.base = time.Now()
	ended, err := readerThread(uid, cpus, r.loop)
	if err != nil {
		return nil, err
	}
	err = p.churn(s.dir.path, c, nonce, round)
	r.deleted.Store(true)
	<-ended
	r.elapsed = time.Since(r.base)
	if err != nil {
		return nil, err
	}
	last := &r.parts[len(r.parts)-1]
	if r.overflows > 0 {
		last.Overflows = r.overflows
	} else {
		last.Lost = max(0, c.names-r.trials)
		last.Trials += last.Lost
	}
	if r.errno != 0 {
		return nil, fmt.Errorf("open the name: %w", r.errno)
	}
	return r, nil
}

// delete is the deleter's part of a round, in the partner.
func (c *churn) delete(dirfd int, nonce uint64, round int) unix.Errno {
	v := &victim{dirfd: dirfd}
	for n := c.first; n < c.first+c.names; n++ {
		v.setRound(nonce, n, round)
		if errno := v.write(dirfd, nil); errno != 0 {
			return errno
		}
		if c.batch {
			continue
		}
		if errno := v.unlink(dirfd); errno != 0 {
			return errno
		}
	}
	for n := c.first; c.batch && n < c.first+c.names; n++ {
		v.setRound(nonce, n, round)
		if errno := v.unlink(dirfd); errno != 0 {
			return errno
		}
	}
	return 0
}

// churnReader is the reading side of a round. Its fields are read by the
// deleter after the round only.
type churnReader struct {
	reader
	churn      *churn
	victim     victim
	bits       uint64
	base       time.Time
	deleted    atomic.Bool // the deleter is through
	trials     int
	overflows  int
	parts      []matrix.Counts // of the trials, in turn: trials cluster, and blocks show it
	errno      unix.Errno
	firstStale time.Duration
	elapsed    time.Duration
}

// loop reads until every name of the round has been told, or the deleter is
// through and nothing comes any more.
func (r *churnReader) loop() {
	quiet := time.Time{}
	for r.trials < r.churn.names {
		// Read before the queue is: what the deleter queued last is there then.
		deleted := r.deleted.Load()
		if r.churn.poll || oneCPU {
			pollIn(r.group.fd(), churnQuiet/4)
		}
		n, errno := rawRead(r.group.fd(), r.queue)
		if errno != 0 || n == 0 {
			switch {
			case !deleted:
				quiet = time.Time{}
			case quiet.IsZero():
				quiet = time.Now()
			case time.Since(quiet) > churnQuiet:
				return
			}
			continue
		}
		quiet = time.Time{}
		for rest := r.group.next(r.queue[:n], &r.event); rest != nil; rest = r.group.next(rest, &r.event) {
			switch {
			case r.event.mask&queueOverflow != 0:
				r.overflows++
			case r.event.mask&r.bits != 0:
				r.told()
			}
		}
	}
}

// told does what an application does with an event: it opens the name.
func (r *churnReader) told() {
	counts := &r.parts[min(r.trials*len(r.parts)/r.churn.names, len(r.parts)-1)]
	r.trials++
	counts.Trials++
	v := &r.victim
	v.nameLen = copy(v.name[:len(v.name)-1], r.event.name)
	v.name[v.nameLen] = 0
	if r.check.before != nil {
		r.check.before(&r.reader)
	}
	fd, errno := openFile(v)
	if errno != 0 {
		if errno != unix.ENOENT {
			r.errno = errno
		}
		return
	}
	defer unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	dead := r.check.dead != nil && r.check.dead(&r.reader, fd)
	n, _, _ := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&r.content[0])), uintptr(len(r.content)))
	// A name lives once in a round, and its round's content tells: the event
	// of this round was about this very file.
	if v.identify(r.content[:n]) != isVictim {
		counts.Foreign++
		if dead {
			counts.FalseAlarms++
		}
		return
	}
	if r.firstStale == 0 {
		r.firstStale = time.Since(r.base)
	}
	counts.Stale++
	if dead {
		counts.Recognised++
	}
}

// setRound makes v the n-th name of a round. Names repeat from round to round;
// only "iter N" in the content tells, and the nonce tells one cell from another.
func (v *victim) setRound(nonce uint64, n, round int) {
	b := strconv.AppendInt(v.name[:0], int64(n), 10)
	v.nameLen = len(b)
	v.name[len(b)] = 0
	c := strconv.AppendUint(append(v.content[:0], "content "...), nonce, 36)
	c = strconv.AppendInt(append(c, ", iter "...), int64(round), 10)
	v.size = len(c)
	v.nonce, v.seq = nonce, n
}
