package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// churned is what was seen while watches came and went.
type churned struct {
	Filesystem   string
	Deletes      int // names that died
	Lost         int // events that a group which stayed did not get
	Twice        int // events that it got more than once, or out of order
	AfterIgnored int // events of a watch after its IN_IGNORED
	OneShotMore  int // events of an IN_ONESHOT watch after the first
	Groups       int // that came and went
	Watches      int // that came and went on a group that stayed
	Late         int // watches that were there while the name could still be opened
	LateLost     int // those that never got its event
}

const (
	// churnTime is how long names die on each filesystem.
	churnTime = 3 * time.Second
	// churnPressure are groups that only make the sending of an event long, so
	// that what comes and goes meets it.
	churnPressure = 32
)

// churn lets names die while watches and groups come and go.
func churn(r *report, plan *wire.Plan) error {
	for _, fs := range plan.Filesystems {
		c := &churner{dir: "/mnt/" + fs.Name + "/churn", fan: fs.Device != "", result: churned{Filesystem: fs.Name}}
		if err := c.run(); err != nil {
			return fmt.Errorf("%s: %w", fs.Name, err)
		}
		if err := r.send("churned", c.result); err != nil {
			return err
		}
	}
	return nil
}

type churner struct {
	dir    string
	fan    bool
	result churned

	current atomic.Int64 // the name that exists or is dying
	over    atomic.Bool
}

func (c *churner) name(n int64) string { return c.dir + "/f" + strconv.FormatInt(n, 10) }

func (c *churner) run() error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	for range churnPressure {
		fd, err := inotifyOpen()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, err := unix.InotifyAddWatch(fd, c.dir, unix.IN_DELETE); err != nil {
			return err
		}
	}
	var g errgroup.Group
	tasks := []func() error{c.stay, c.comeAndGo, c.late, c.oneShot}
	if c.fan {
		tasks = append(tasks, c.fanotify)
	}
	for _, task := range tasks {
		g.Go(func() error {
			runtime.LockOSThread()
			return task()
		})
	}
	end := time.Now().Add(churnTime)
	var err error
	for n := int64(1); time.Now().Before(end) && err == nil; n++ {
		c.current.Store(n)
		err = makeAndKill(c.name(n))
		c.result.Deletes++
	}
	c.current.Add(2) // whoever waits for the last name to be through
	time.Sleep(100 * time.Millisecond)
	c.over.Store(true)
	if e := g.Wait(); err == nil {
		err = e
	}
	return err
}

// stay is a group with one watch throughout: it gets every event once, in order.
func (c *churner) stay() error {
	fd, err := inotifyOpen()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, c.dir, unix.IN_DELETE); err != nil {
		return err
	}
	first, last := int64(0), int64(0)
	for over := false; !over; {
		over = c.over.Load()
		events, err := inotifyRead(fd)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.mask&unix.IN_Q_OVERFLOW != 0 {
				return fmt.Errorf("the queue of a group that is read overflowed")
			}
			n, err := strconv.ParseInt(e.name[1:], 10, 64)
			if err != nil {
				return err
			}
			switch {
			case first == 0:
				first = n
			case n <= last:
				c.result.Twice++
			default:
				c.result.Lost += int(n - last - 1)
			}
			last = max(last, n)
		}
		time.Sleep(time.Millisecond)
	}
	c.result.Lost += c.result.Deletes - int(last)
	return nil
}

// comeAndGo is a group that stays while its watch comes and goes.
func (c *churner) comeAndGo() error {
	fd, err := inotifyOpen()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ignored := map[int32]bool{}
	for !c.over.Load() {
		wd, err := unix.InotifyAddWatch(fd, c.dir, unix.IN_DELETE)
		if err != nil {
			return err
		}
		c.result.Watches++
		if _, err := unix.InotifyRmWatch(fd, uint32(wd)); err != nil {
			return err
		}
		events, err := inotifyRead(fd)
		if err != nil {
			return err
		}
		for _, e := range events {
			if ignored[e.wd] {
				c.result.AfterIgnored++
			}
			if e.mask&unix.IN_IGNORED != 0 {
				ignored[e.wd] = true
			}
		}
	}
	return nil
}

// late adds a watch at any moment. If the name can still be opened then, its
// event has to come.
func (c *churner) late() error {
	fd, err := inotifyOpen()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n := c.current.Load()
		name := c.name(n)
		wd, err := unix.InotifyAddWatch(fd, c.dir, unix.IN_DELETE)
		if err != nil {
			return err
		}
		alive := unix.Access(name, unix.F_OK) == nil
		for c.current.Load() <= n && !c.over.Load() {
			runtime.Gosched()
		}
		if c.over.Load() {
			return nil
		}
		events, err := inotifyRead(fd)
		if err != nil {
			return err
		}
		if alive {
			c.result.Late++
			told := false
			for _, e := range events {
				told = told || c.dir+"/"+e.name == name
			}
			if !told {
				c.result.LateLost++
			}
		}
		if _, err := unix.InotifyRmWatch(fd, uint32(wd)); err != nil {
			return err
		}
		if _, err := inotifyRead(fd); err != nil {
			return err
		}
	}
}

// oneShot makes groups whose watch ends with its first event, and closes them
// at any moment.
func (c *churner) oneShot() error {
	for n := 0; !c.over.Load(); n++ {
		fd, err := inotifyOpen()
		if err != nil {
			return err
		}
		if _, err := unix.InotifyAddWatch(fd, c.dir, unix.IN_DELETE|unix.IN_ONESHOT); err != nil {
			return err
		}
		if n%2 == 0 {
			time.Sleep(time.Millisecond)
			events, err := inotifyRead(fd)
			if err != nil {
				return err
			}
			for i, e := range events {
				if e.mask&unix.IN_DELETE != 0 && i > 0 {
					c.result.OneShotMore++
				}
			}
		}
		unix.Close(fd)
		c.result.Groups++
	}
	return nil
}

// fanotify makes groups with a mark of each kind that a delete goes by, and
// takes the mark or the group away.
func (c *churner) fanotify() error {
	for n := 0; !c.over.Load(); n++ {
		fd, err := fanotifyOpen(unix.FAN_REPORT_DFID_NAME_TARGET)
		if err != nil {
			return err
		}
		kind := uint(unix.FAN_MARK_INODE)
		if n%2 == 0 {
			kind = unix.FAN_MARK_FILESYSTEM
		}
		if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|kind, unix.FAN_DELETE|unix.FAN_ONDIR, unix.AT_FDCWD, c.dir); err != nil {
			return err
		}
		if n%3 == 0 {
			if err := unix.FanotifyMark(fd, unix.FAN_MARK_FLUSH|kind, 0, unix.AT_FDCWD, c.dir); err != nil {
				return err
			}
		}
		unix.Close(fd)
	}
	return nil
}
