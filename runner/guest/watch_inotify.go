package guest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() { eventSources["inotify"] = inotify{} }

// inotify is the event source of inotify(7).
type inotify struct{}

// inotifyFlags are the bits that inotify_add_watch(2) takes.
var inotifyFlags = map[string]uint64{
	"IN_ACCESS":        unix.IN_ACCESS,
	"IN_MODIFY":        unix.IN_MODIFY,
	"IN_ATTRIB":        unix.IN_ATTRIB,
	"IN_CLOSE_WRITE":   unix.IN_CLOSE_WRITE,
	"IN_CLOSE_NOWRITE": unix.IN_CLOSE_NOWRITE,
	"IN_CLOSE":         unix.IN_CLOSE,
	"IN_OPEN":          unix.IN_OPEN,
	"IN_MOVED_FROM":    unix.IN_MOVED_FROM,
	"IN_MOVED_TO":      unix.IN_MOVED_TO,
	"IN_MOVE":          unix.IN_MOVE,
	"IN_CREATE":        unix.IN_CREATE,
	"IN_DELETE":        unix.IN_DELETE,
	"IN_DELETE_SELF":   unix.IN_DELETE_SELF,
	"IN_MOVE_SELF":     unix.IN_MOVE_SELF,
	"IN_ALL_EVENTS":    unix.IN_ALL_EVENTS,
	"IN_ONLYDIR":       unix.IN_ONLYDIR,
	"IN_DONT_FOLLOW":   unix.IN_DONT_FOLLOW,
	"IN_EXCL_UNLINK":   unix.IN_EXCL_UNLINK,
	"IN_MASK_CREATE":   unix.IN_MASK_CREATE,
	"IN_MASK_ADD":      unix.IN_MASK_ADD,
	"IN_ONESHOT":       unix.IN_ONESHOT,
}

func (inotify) catalog() matrix.EventSource {
	return matrix.EventSource{
		Name:   "inotify",
		Doc:    "inotify(7): one watch on the directory",
		Groups: []matrix.FlagGroup{{Key: "mask", Flags: inotifyFlags, Required: true}},
		Validate: func(w matrix.Watch) []string {
			var wrong []string
			mask := flagBits(inotifyFlags, w.Flags["mask"])
			if mask&unix.IN_ALL_EVENTS == 0 {
				wrong = append(wrong, "the mask has no event; add IN_DELETE")
			}
			if mask&unix.IN_MASK_ADD != 0 && mask&unix.IN_MASK_CREATE != 0 {
				wrong = append(wrong, "IN_MASK_ADD and IN_MASK_CREATE exclude each other (inotify_add_watch(2), EINVAL); take one out")
			}
			return wrong
		},
		IsPlain: func(w matrix.Watch) bool {
			return w.Check == "open" && w.UID == 0 && w.Bystander == nil && flagBits(inotifyFlags, w.Flags["mask"]) == unix.IN_DELETE
		},
		Plain: func() matrix.Watch {
			return matrix.Watch{
				Name: "IN_DELETE", Source: "inotify", Check: "open",
				Flags: map[string][]string{"mask": {"IN_DELETE"}},
			}
		},
	}
}

func (inotify) open(matrix.Watch) (group, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, refused("inotify_init1", "", err)
	}
	return &inotifyGroup{file: fd, wd: -1}, nil
}

func (inotify) poolKey(w matrix.Watch) string { return fmt.Sprintf("inotify of %d", w.UID) }

// poolLimit raises fs.inotify.max_user_instances (128 by default) and returns
// what the kernel then allows.
func (inotify) poolLimit() int {
	return raiseSysctl("fs/inotify/max_user_instances", 4096, 128) - 8
}

// companion drops IN_ONESHOT: a companion that ended with its first event would
// leave the window narrower from the second trial on.
func (inotify) companion(w matrix.Watch) matrix.Watch {
	return without(w, "mask", "IN_ONESHOT")
}

func (inotify) mask(w matrix.Watch) uint64 { return flagBits(inotifyFlags, w.Flags["mask"]) }

type inotifyGroup struct {
	file, wd int
	bits     uint32
	path     []byte // what mark watched, NUL-terminated
}

func (g *inotifyGroup) fd() int      { return g.file }
func (g *inotifyGroup) close() error { return unix.Close(g.file) }

func (g *inotifyGroup) mark(w matrix.Watch, dir string) error {
	names := w.Flags["mask"]
	g.bits = uint32(flagBits(inotifyFlags, names))
	g.path = append([]byte(dir), 0)
	wd, err := unix.InotifyAddWatch(g.file, dir, g.bits)
	if err != nil {
		return refused("inotify_add_watch", strings.Join(names, "|"), err)
	}
	g.wd = wd
	return nil
}

// rearm adds an IN_ONESHOT watch again, as an application must after its
// event. EEXIST: it has not fired yet and has IN_MASK_CREATE.
func (g *inotifyGroup) rearm() unix.Errno {
	if g.bits&unix.IN_ONESHOT == 0 {
		return 0
	}
	wd, _, errno := unix.RawSyscall(unix.SYS_INOTIFY_ADD_WATCH, uintptr(g.file), uintptr(unsafe.Pointer(&g.path[0])), uintptr(g.bits))
	if errno == unix.EEXIST {
		return 0
	}
	if errno == 0 {
		g.wd = int(wd)
	}
	return errno
}

func (g *inotifyGroup) unmark() error {
	if g.wd < 0 {
		return nil
	}
	_, err := unix.InotifyRmWatch(g.file, uint32(g.wd))
	g.wd = -1
	// EINVAL: the watch ended by itself (IN_ONESHOT).
	if err != nil && err != unix.EINVAL {
		return fmt.Errorf("inotify_rm_watch: %w", err)
	}
	return nil
}

// next decodes one struct inotify_event: wd, mask, cookie, len, name[len].
func (g *inotifyGroup) next(buf []byte, ev *event) []byte {
	if len(buf) < unix.SizeofInotifyEvent {
		return nil
	}
	size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
	if size > len(buf) {
		return nil
	}
	*ev = event{
		mask: uint64(binary.NativeEndian.Uint32(buf[4:])),
		name: untilNUL(buf[unix.SizeofInotifyEvent:size]),
	}
	return buf[size:]
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// flagBits is the union of the named flags.
func flagBits(table map[string]uint64, names []string) uint64 {
	var bits uint64
	for _, name := range names {
		bits |= table[name]
	}
	return bits
}

// without is w with one flag less.
func without(w matrix.Watch, group, flag string) matrix.Watch {
	flags := maps.Clone(w.Flags)
	flags[group] = slices.DeleteFunc(slices.Clone(flags[group]), func(f string) bool { return f == flag })
	w.Flags = flags
	return w
}
