package guest

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["unlink"] = scenario{
		Scenario: matrix.Scenario{
			Name: "unlink",
			Doc: "unlink(2) of a regular file with one link, nobody holding it. Promise: after IN_DELETE the name " +
				"is gone. Broken by 49246466a989 (5.3), mended by a37d9a17f099 (5.17). Stale: open(2) succeeded and " +
				"read(2) returned the victim's content",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   map[string][]string{"inotify": {"IN_DELETE"}, "fanotify": {"FAN_DELETE"}},
		},
		bits:     unix.IN_DELETE,
		create:   createFile,
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}

func createFile(v *victim) unix.Errno {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(v.dirfd), uintptr(unsafe.Pointer(&v.name)),
		unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600, 0, 0)
	if errno != 0 {
		return errno
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&v.content)), uintptr(v.size))
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	if errno == 0 && int(n) != v.size {
		return unix.ENOSPC
	}
	return errno
}

func unlinkFile(v *victim) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_UNLINKAT, uintptr(v.dirfd), uintptr(unsafe.Pointer(&v.name)), 0)
	return errno
}

func openFile(v *victim) (int, unix.Errno) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(v.dirfd), uintptr(unsafe.Pointer(&v.name)),
		unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	return int(fd), errno
}

// identifyContent reads what was opened and compares it with the victim's content.
func identifyContent(v *victim, fd int, buf []byte) identity {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if errno == 0 && bytes.Equal(buf[:n], v.content[:v.size]) {
		return isVictim
	}
	return isOther
}
