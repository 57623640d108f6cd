package guest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() { eventSources["fanotify"] = fanotify{} }

// fanotify is the event source of fanotify(7).
type fanotify struct{}

// fanotifyInit are the bits of fanotify_init(2). The queue and mark limits are
// lifted and reads do not block in any case.
var fanotifyInit = map[string]uint64{
	"FAN_CLASS_NOTIF":             unix.FAN_CLASS_NOTIF,
	"FAN_CLASS_CONTENT":           unix.FAN_CLASS_CONTENT,
	"FAN_CLASS_PRE_CONTENT":       unix.FAN_CLASS_PRE_CONTENT,
	"FAN_CLOEXEC":                 unix.FAN_CLOEXEC,
	"FAN_NONBLOCK":                unix.FAN_NONBLOCK,
	"FAN_UNLIMITED_QUEUE":         unix.FAN_UNLIMITED_QUEUE,
	"FAN_UNLIMITED_MARKS":         unix.FAN_UNLIMITED_MARKS,
	"FAN_ENABLE_AUDIT":            unix.FAN_ENABLE_AUDIT,
	"FAN_REPORT_TID":              unix.FAN_REPORT_TID,
	"FAN_REPORT_PIDFD":            unix.FAN_REPORT_PIDFD,
	"FAN_REPORT_FID":              unix.FAN_REPORT_FID,
	"FAN_REPORT_DIR_FID":          unix.FAN_REPORT_DIR_FID,
	"FAN_REPORT_NAME":             unix.FAN_REPORT_NAME,
	"FAN_REPORT_TARGET_FID":       unix.FAN_REPORT_TARGET_FID,
	"FAN_REPORT_DFID_NAME":        unix.FAN_REPORT_DFID_NAME,
	"FAN_REPORT_DFID_NAME_TARGET": unix.FAN_REPORT_DFID_NAME_TARGET,
	"FAN_REPORT_FD_ERROR":         unix.FAN_REPORT_FD_ERROR,
	"FAN_REPORT_MNT":              unix.FAN_REPORT_MNT,
}

// fanotifyMark are the bits of fanotify_mark(2)'s flags, FAN_MARK_ADD implied.
var fanotifyMark = map[string]uint64{
	"FAN_MARK_INODE":               unix.FAN_MARK_INODE,
	"FAN_MARK_MOUNT":               unix.FAN_MARK_MOUNT,
	"FAN_MARK_FILESYSTEM":          unix.FAN_MARK_FILESYSTEM,
	"FAN_MARK_MNTNS":               unix.FAN_MARK_MNTNS,
	"FAN_MARK_DONT_FOLLOW":         unix.FAN_MARK_DONT_FOLLOW,
	"FAN_MARK_ONLYDIR":             unix.FAN_MARK_ONLYDIR,
	"FAN_MARK_EVICTABLE":           unix.FAN_MARK_EVICTABLE,
	"FAN_MARK_IGNORED_MASK":        unix.FAN_MARK_IGNORED_MASK,
	"FAN_MARK_IGNORED_SURV_MODIFY": unix.FAN_MARK_IGNORED_SURV_MODIFY,
	"FAN_MARK_IGNORE":              unix.FAN_MARK_IGNORE,
	"FAN_MARK_IGNORE_SURV":         unix.FAN_MARK_IGNORE_SURV,
}

// fanotifyMask are the bits of fanotify_mark(2)'s mask.
var fanotifyMask = map[string]uint64{
	"FAN_ACCESS":         unix.FAN_ACCESS,
	"FAN_MODIFY":         unix.FAN_MODIFY,
	"FAN_ATTRIB":         unix.FAN_ATTRIB,
	"FAN_CLOSE_WRITE":    unix.FAN_CLOSE_WRITE,
	"FAN_CLOSE_NOWRITE":  unix.FAN_CLOSE_NOWRITE,
	"FAN_CLOSE":          unix.FAN_CLOSE,
	"FAN_OPEN":           unix.FAN_OPEN,
	"FAN_OPEN_EXEC":      unix.FAN_OPEN_EXEC,
	"FAN_MOVED_FROM":     unix.FAN_MOVED_FROM,
	"FAN_MOVED_TO":       unix.FAN_MOVED_TO,
	"FAN_MOVE":           unix.FAN_MOVE,
	"FAN_RENAME":         unix.FAN_RENAME,
	"FAN_CREATE":         unix.FAN_CREATE,
	"FAN_DELETE":         unix.FAN_DELETE,
	"FAN_DELETE_SELF":    unix.FAN_DELETE_SELF,
	"FAN_MOVE_SELF":      unix.FAN_MOVE_SELF,
	"FAN_FS_ERROR":       unix.FAN_FS_ERROR,
	"FAN_MNT_ATTACH":     unix.FAN_MNT_ATTACH,
	"FAN_MNT_DETACH":     unix.FAN_MNT_DETACH,
	"FAN_OPEN_PERM":      unix.FAN_OPEN_PERM,
	"FAN_OPEN_EXEC_PERM": unix.FAN_OPEN_EXEC_PERM,
	"FAN_ACCESS_PERM":    unix.FAN_ACCESS_PERM,
	"FAN_PRE_ACCESS":     unix.FAN_PRE_ACCESS,
	"FAN_ONDIR":          unix.FAN_ONDIR,
	"FAN_EVENT_ON_CHILD": unix.FAN_EVENT_ON_CHILD,
}

// reportsTargetFID says whether w's events carry the handle of the object
// that was deleted (FAN_REPORT_TARGET_FID, d61fd650e9d2).
func reportsTargetFID(w matrix.Watch) bool {
	return w.Source == "fanotify" && flagBits(fanotifyInit, w.Flags["init"])&unix.FAN_REPORT_TARGET_FID != 0
}

func (fanotify) catalog() matrix.EventSource {
	return matrix.EventSource{
		Name: "fanotify",
		Doc:  "fanotify(7): one group with one mark",
		Groups: []matrix.FlagGroup{
			{Key: "init", Flags: fanotifyInit},
			{Key: "mark", Flags: fanotifyMark},
			{Key: "mask", Flags: fanotifyMask, Required: true},
		},
		Validate: func(w matrix.Watch) []string {
			var wrong []string
			if flagBits(fanotifyMask, w.Flags["mask"])&^(unix.FAN_ONDIR|unix.FAN_EVENT_ON_CHILD) == 0 {
				wrong = append(wrong, "the mask has no event; add FAN_DELETE")
			}
			class := flagBits(fanotifyInit, w.Flags["init"]) & unix.FAN_ALL_CLASS_BITS
			if class == unix.FAN_ALL_CLASS_BITS {
				wrong = append(wrong, "a group has one class; name only one FAN_CLASS_ flag")
			}
			// FAN_MARK_MNTNS has the bits of both others (6.14).
			objects := 0
			for _, f := range w.Flags["mark"] {
				if f == "FAN_MARK_MOUNT" || f == "FAN_MARK_FILESYSTEM" || f == "FAN_MARK_MNTNS" {
					objects++
				}
			}
			if objects > 1 {
				wrong = append(wrong, "a mark has one object; name only one of FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM and FAN_MARK_MNTNS")
			}
			mark := flagBits(fanotifyMark, w.Flags["mark"])
			const answered = unix.FAN_OPEN_PERM | unix.FAN_OPEN_EXEC_PERM | unix.FAN_ACCESS_PERM | unix.FAN_PRE_ACCESS
			if flagBits(fanotifyMask, w.Flags["mask"])&answered != 0 {
				wrong = append(wrong, "a permission event stops the process until the group answers, and no group of kqual answers; "+
					"take FAN_PRE_ACCESS and what ends in _PERM out")
			}
			const ignore = unix.FAN_MARK_IGNORED_MASK | unix.FAN_MARK_IGNORE
			if mark&ignore != 0 {
				wrong = append(wrong, "an ignore mark asks for no event, so nothing could be told; take FAN_MARK_IGNORE and FAN_MARK_IGNORED_MASK out")
			}
			const fid = unix.FAN_REPORT_FID | unix.FAN_REPORT_DIR_FID
			if init := flagBits(fanotifyInit, w.Flags["init"]); init&fid != 0 && init&unix.FAN_REPORT_NAME == 0 {
				wrong = append(wrong, "no name in the event; add FAN_REPORT_DFID_NAME to init")
			}
			return wrong
		},
		IsPlain: func(w matrix.Watch) bool {
			mask := flagBits(fanotifyMask, w.Flags["mask"])
			return w.Check == "open" && w.UID == 0 && w.Bystander == nil && !reportsTargetFID(w) && mask&^unix.FAN_ONDIR == unix.FAN_DELETE
		},
		Plain: func() matrix.Watch {
			return matrix.Watch{
				Name: "FAN_DELETE", Source: "fanotify", Check: "open",
				Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME"}, "mask": {"FAN_DELETE", "FAN_ONDIR"}},
			}
		},
	}
}

func (fanotify) open(w matrix.Watch) (group, error) {
	names := w.Flags["init"]
	flags := flagBits(fanotifyInit, names) | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK
	if w.UID == 0 { // others must not ask for that (EPERM)
		flags |= unix.FAN_UNLIMITED_QUEUE | unix.FAN_UNLIMITED_MARKS
	}
	fd, err := unix.FanotifyInit(uint(flags), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_LARGEFILE)
	if err != nil {
		return nil, refused("fanotify_init", strings.Join(names, "|"), err)
	}
	return &fanotifyGroup{file: fd}, nil
}

func (fanotify) poolKey(w matrix.Watch) string {
	return fmt.Sprintf("fanotify %s of %d", strings.Join(w.Flags["init"], "|"), w.UID)
}

// poolLimit raises fs.fanotify.max_user_groups where it exists (5.13). Before,
// the limit is a constant of 128 groups per user
// (FANOTIFY_DEFAULT_MAX_LISTENERS, fs/notify/fanotify/fanotify_user.c).
func (fanotify) poolLimit() int {
	return raiseSysctl("fs/fanotify/max_user_groups", 4096, 128) - 4
}

func (fanotify) companion(w matrix.Watch) matrix.Watch { return w }

func (fanotify) mask(w matrix.Watch) uint64 { return flagBits(fanotifyMask, w.Flags["mask"]) }

type fanotifyGroup struct {
	file  int
	flags uint
	bits  uint64
	dir   string
}

func (g *fanotifyGroup) fd() int      { return g.file }
func (g *fanotifyGroup) close() error { return unix.Close(g.file) }

func (g *fanotifyGroup) rearm() unix.Errno { return 0 }

func (g *fanotifyGroup) mark(w matrix.Watch, dir string) error {
	g.flags = uint(flagBits(fanotifyMark, w.Flags["mark"]))
	g.bits = flagBits(fanotifyMask, w.Flags["mask"])
	g.dir = dir
	if err := unix.FanotifyMark(g.file, unix.FAN_MARK_ADD|g.flags, g.bits, unix.AT_FDCWD, dir); err != nil {
		flags := append(append([]string(nil), w.Flags["mark"]...), w.Flags["mask"]...)
		return refused("fanotify_mark", strings.Join(flags, "|"), err)
	}
	return nil
}

// unmark removes all marks of the kind that mark added: the directory may be
// gone, and a group never has more than one.
func (g *fanotifyGroup) unmark() error {
	kind := g.flags & (unix.FAN_MARK_MOUNT | unix.FAN_MARK_FILESYSTEM)
	return unix.FanotifyMark(g.file, unix.FAN_MARK_FLUSH|kind, 0, unix.AT_FDCWD, "/")
}

// next decodes one struct fanotify_event_metadata and the information records
// behind it: the directory's handle with the name (DFID_NAME) and the target's
// handle (FID). A descriptor, which groups without FID reporting get, is closed.
func (g *fanotifyGroup) next(buf []byte, ev *event) []byte {
	if len(buf) < unix.FAN_EVENT_METADATA_LEN {
		return nil
	}
	meta := (*unix.FanotifyEventMetadata)(unsafe.Pointer(&buf[0]))
	size := int(meta.Event_len)
	if size < int(meta.Metadata_len) || size > len(buf) {
		return nil
	}
	*ev = event{mask: meta.Mask}
	if meta.Fd >= 0 {
		unix.Close(int(meta.Fd))
	}
	info := buf[meta.Metadata_len:size]
	// Each record: type u8, pad u8, len u16, then by type.
	for len(info) >= 4 {
		n := int(binary.NativeEndian.Uint16(info[2:]))
		if n < 4 || n > len(info) {
			break
		}
		switch info[0] {
		case unix.FAN_EVENT_INFO_TYPE_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, unix.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
			if _, _, rest := decodeFID(info[4:n]); rest != nil {
				// A rename (FAN_RENAME, 5.17) has two names: the old one died.
				if info[0] != unix.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME || ev.name == nil {
					ev.name = untilNUL(rest)
				}
			}
		case unix.FAN_EVENT_INFO_TYPE_FID:
			ev.handleType, ev.handle, _ = decodeFID(info[4:n])
		}
		info = info[n:]
	}
	return buf[size:]
}

// decodeFID splits fsid (8 bytes), handle_bytes u32, handle_type s32, the
// handle, and what follows it.
func decodeFID(b []byte) (handleType int32, handle, rest []byte) {
	const head = 16
	if len(b) < head {
		return 0, nil, nil
	}
	n := int(binary.NativeEndian.Uint32(b[8:]))
	if n > len(b)-head {
		return 0, nil, nil
	}
	return int32(binary.NativeEndian.Uint32(b[12:])), b[head : head+n], b[head+n:]
}
