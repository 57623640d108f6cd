package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

const (
	// operations is the length of the sequence.
	operations = 1500
	// linesPerNote keeps a note far below wire.MaxLine; a line has some 100 bytes.
	linesPerNote = 500
)

// streams runs one seeded sequence of operations on each filesystem and reports
// every event of every group, with what differs between boots replaced: cookies
// and file handles by the order of their first appearance.
func streams(r *report, plan *wire.Plan) error {
	for _, fs := range plan.Filesystems {
		s := &sequence{rng: rand.New(rand.NewPCG(plan.Seed, 1)), handles: map[string]int{}, cookies: map[uint32]int{}}
		err := s.run("/mnt/"+fs.Name+"/streams", fs.Device != "")
		if err != nil {
			return fmt.Errorf("%s: %w", fs.Name, err)
		}
		for begin := 0; begin < len(s.lines); begin += linesPerNote {
			if err := r.send("stream-"+fs.Name, s.lines[begin:min(begin+linesPerNote, len(s.lines))]); err != nil {
				return err
			}
		}
	}
	return nil
}

type sequence struct {
	rng     *rand.Rand
	dirs    []string
	inotify []int
	fan     []int
	held    []int // files that stay open for a while
	handles map[string]int
	cookies map[uint32]int
	lines   []string
}

// masks of the inotify groups. The last is armed again from time to time.
var sequenceMasks = []uint32{
	unix.IN_ALL_EVENTS,
	unix.IN_DELETE | unix.IN_CREATE | unix.IN_EXCL_UNLINK,
	unix.IN_DELETE | unix.IN_MOVE | unix.IN_ONESHOT,
}

// sequenceGroups are the fanotify groups; the second watches the filesystem.
var sequenceGroups = []struct {
	init, mark uint
	mask       uint64
}{
	{unix.FAN_REPORT_DFID_NAME_TARGET, 0, unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_RENAME | unix.FAN_ONDIR},
	{unix.FAN_REPORT_FID, unix.FAN_MARK_FILESYSTEM, unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_DELETE_SELF | unix.FAN_ATTRIB | unix.FAN_ONDIR},
	{unix.FAN_REPORT_DFID_NAME, 0, unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_MOVE | unix.FAN_OPEN | unix.FAN_CLOSE | unix.FAN_MODIFY | unix.FAN_ATTRIB | unix.FAN_EVENT_ON_CHILD | unix.FAN_ONDIR},
}

func (s *sequence) run(root string, handles bool) error {
	for d := range 3 {
		s.dirs = append(s.dirs, root+"/d"+strconv.Itoa(d))
		if err := os.MkdirAll(s.dirs[d], 0o755); err != nil {
			return err
		}
	}
	for range sequenceMasks {
		fd, err := inotifyOpen()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		s.inotify = append(s.inotify, fd)
	}
	for i := range sequenceMasks {
		if err := s.arm(i); err != nil {
			return err
		}
	}
	if handles {
		for _, g := range sequenceGroups {
			fd, err := fanotifyOpen(g.init)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			for _, d := range s.dirs {
				if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|g.mark, g.mask, unix.AT_FDCWD, d); err != nil {
					return fmt.Errorf("fanotify_mark %#x: %w", g.mask, err)
				}
			}
			s.fan = append(s.fan, fd)
		}
	}
	for n := range operations {
		what, err := s.operate()
		s.say("%d %s: %v", n, what, err)
		// Seldom enough for events to meet in a queue, where they can merge.
		if s.rng.IntN(6) == 0 {
			if err := s.read(); err != nil {
				return err
			}
		}
		if s.rng.IntN(10) == 0 {
			if err := s.arm(len(sequenceMasks) - 1); err != nil {
				return err
			}
		}
	}
	s.release()
	return s.read()
}

func (s *sequence) say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// arm places a group's watches, or places them again.
func (s *sequence) arm(group int) error {
	for _, d := range s.dirs {
		if _, err := unix.InotifyAddWatch(s.inotify[group], d, sequenceMasks[group]); err != nil {
			return fmt.Errorf("inotify_add_watch %#x: %w", sequenceMasks[group], err)
		}
	}
	return nil
}

func (s *sequence) release() {
	for _, fd := range s.held {
		unix.Close(fd)
	}
	s.held = s.held[:0]
}

// operate does one thing with names of which there are few, so that they are
// met in every state. That it fails is part of the sequence.
func (s *sequence) operate() (string, error) {
	name := func() string {
		return s.dirs[s.rng.IntN(len(s.dirs))] + "/n" + strconv.Itoa(s.rng.IntN(6))
	}
	p := name()
	switch s.rng.IntN(13) {
	case 0, 1, 2:
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err == nil {
			_, _ = unix.Write(fd, []byte("content"))
			unix.Close(fd)
		}
		return "create " + p, err
	case 3, 4, 5:
		return "unlink " + p, unix.Unlink(p)
	case 6:
		q := name()
		return "rename " + p + " " + q, unix.Rename(p, q)
	case 7:
		q := name()
		return "link " + p + " " + q, unix.Link(p, q)
	case 8:
		return "mkdir " + p, unix.Mkdir(p, 0o755)
	case 9:
		return "rmdir " + p, unix.Rmdir(p)
	case 10:
		fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			s.held = append(s.held, fd)
		}
		return "open " + p, err
	case 11:
		// A watch on the victim itself: IN_DELETE_SELF and IN_IGNORED.
		_, err := unix.InotifyAddWatch(s.inotify[0], p, unix.IN_ATTRIB|unix.IN_DELETE_SELF)
		return "watch " + p, err
	default:
		s.release()
		return "close all", nil
	}
}

// read empties all groups.
func (s *sequence) read() error {
	for i, fd := range s.inotify {
		events, err := inotifyRead(fd)
		if err != nil {
			return err
		}
		for _, e := range events {
			cookie := 0
			if e.cookie != 0 {
				if s.cookies[e.cookie] == 0 {
					s.cookies[e.cookie] = len(s.cookies) + 1
				}
				cookie = s.cookies[e.cookie]
			}
			s.say("  inotify %d: wd %d mask %#x cookie %d %s", i, e.wd, e.mask, cookie, e.name)
		}
	}
	for i, fd := range s.fan {
		events, err := fanotifyRead(fd, func(handle string) int {
			if _, ok := s.handles[handle]; !ok {
				s.handles[handle] = len(s.handles)
			}
			return s.handles[handle]
		})
		if err != nil {
			return err
		}
		for _, e := range events {
			s.say("  fanotify %d: %s", i, e)
		}
	}
	return nil
}
