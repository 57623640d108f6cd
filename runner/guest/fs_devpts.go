package guest

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["devpts"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name: "devpts",
			Doc: "an instance of its own: a name dies when a pty's master is closed. devpts_pty_kill() has a hook of " +
				"its own, which 49246466a989 put before d_delete() and 29044dae2e74 mended",
			Scenarios: []string{"unlink"},
		},
		Type:      "devpts",
		names:     ".",
		noWitness: "names in devpts come and go with ptys, and nobody else can make one",
		scenarios: map[string]scenario{"unlink": ptyUnlink()},
		Mount: func(_, dir string) error {
			return unix.Mount("devpts", dir, "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666")
		},
	}
}

// ptyUnlink is the end of a pty. Its d_fsdata is gone before the event, so
// open(2) of the dead name gives EIO; O_PATH finds it. The directory's lock is
// not held, so getdents does not wait for the end: it fails by design. The
// link count is 0 before the event, so nlink tells.
func ptyUnlink() scenario {
	return scenario{
		Scenario: matrix.Scenario{
			Name: "unlink", Doc: "close(2) of a pty's master", Object: matrix.ObjectDirectory,
			Identity: "inode number", Events: deleteEvents,
		},
		bits:     unix.IN_DELETE,
		create:   openPty,
		kill:     closePty,
		open:     func(v *victim) (int, unix.Errno) { return v.openFlags(unix.O_PATH | unix.O_NOFOLLOW) },
		identify: identifyInode,
	}
}

// ptmx is a NUL-terminated name.
var ptmx = [5]byte{'p', 't', 'm', 'x'}

// openPty makes a pty; its number is the victim's name. The kernel gives
// numbers again, but not before the next trial.
func openPty(v *victim) unix.Errno {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(v.dirfd), uintptr(unsafe.Pointer(&ptmx)),
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	v.heldfd = int(fd)
	var n uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, unix.TIOCGPTN, uintptr(unsafe.Pointer(&n))); errno != 0 {
		closePty(v)
		return errno
	}
	b := strconv.AppendUint(v.name[:0], uint64(n), 10)
	v.nameLen = len(b)
	v.name[len(b)] = 0
	if _, _, errno := unix.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(v.dirfd), v.namePointer(),
		uintptr(unsafe.Pointer(&v.stat)), unix.AT_SYMLINK_NOFOLLOW, 0, 0); errno != 0 {
		closePty(v)
		return errno
	}
	return 0
}

func closePty(v *victim) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_CLOSE, uintptr(v.heldfd), 0, 0)
	return errno
}
