package guest

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() { scenarios["rmdir"] = rmdirScenario() }

func rmdirScenario() scenario {
	return scenario{
		Scenario: matrix.Scenario{
			Name: "rmdir",
			Doc: "rmdir(2) of an empty directory, opened after IN_DELETE|IN_ISDIR. Promise: the name is gone by " +
				"then. Broken by 49246466a989 (5.3): vfs_rmdir notified before d_delete(); mended by a37d9a17f099 " +
				"(5.17). Stale: open(2) succeeded and what it opened has the inode number of the removed directory, " +
				"whose name is used once. fanotify tells of directories only with FAN_ONDIR",
			Object:   matrix.ObjectDirectory,
			Identity: "inode number",
			Events: map[string][]string{
				"inotify":  {"IN_DELETE", "IN_ALL_EVENTS"},
				"fanotify": {"FAN_DELETE|FAN_ONDIR"},
			},
		},
		bits: unix.IN_DELETE,
		create: func(v *victim) unix.Errno {
			if _, _, errno := unix.RawSyscall(unix.SYS_MKDIRAT, uintptr(v.dirfd), v.namePointer(), 0o755); errno != 0 {
				return errno
			}
			_, _, errno := unix.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(v.dirfd), v.namePointer(),
				uintptr(unsafe.Pointer(&v.stat)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
			return errno
		},
		kill: func(v *victim) unix.Errno {
			_, _, errno := unix.RawSyscall(unix.SYS_UNLINKAT, uintptr(v.dirfd), v.namePointer(), unix.AT_REMOVEDIR)
			return errno
		},
		open:     func(v *victim) (int, unix.Errno) { return v.openFlags(unix.O_RDONLY | unix.O_DIRECTORY) },
		identify: identifyInode,
	}
}

// identifyInode compares device and inode number of what was opened with the
// victim's. The kernel may give the number away again, but not to this name:
// every name is used once.
func identifyInode(v *victim, fd int, buf []byte) identity {
	st := (*unix.Stat_t)(unsafe.Pointer(unsafe.SliceData(buf[:unsafe.Sizeof(unix.Stat_t{})])))
	_, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	if errno == 0 && st.Ino == v.stat.Ino && st.Dev == v.stat.Dev {
		return isVictim
	}
	return isOther
}
