package guest

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the scenarios, without allocation. Each takes the
// victim's name in a directory.

func (v *victim) namePointer() uintptr { return uintptr(unsafe.Pointer(&v.name)) }

// write makes a file of the victim's name in the directory dirfd. suffix
// follows the victim's content.
func (v *victim) write(dirfd int, suffix []byte) unix.Errno {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dirfd), v.namePointer(),
		unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644, 0, 0)
	if errno != 0 {
		return errno
	}
	copy(v.content[v.size:], suffix)
	size := v.size + len(suffix)
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&v.content)), uintptr(size))
	if errno == 0 && int(n) != size {
		errno = unix.ENOSPC
	}
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	return errno
}

func (v *victim) unlink(dirfd int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_UNLINKAT, uintptr(dirfd), v.namePointer(), 0)
	return errno
}

func (v *victim) rename(from, to int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_RENAMEAT2, uintptr(from), v.namePointer(), uintptr(to), v.namePointer(), 0, 0)
	return errno
}

func (v *victim) link(from, to int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_LINKAT, uintptr(from), v.namePointer(), uintptr(to), v.namePointer(), 0, 0)
	return errno
}

func (v *victim) openFlags(flags uintptr) (int, unix.Errno) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(v.dirfd), v.namePointer(), flags|unix.O_CLOEXEC, 0, 0, 0)
	return int(fd), errno
}

// replacement is what follows the victim's content in the file that takes its
// place.
var replacement = []byte(" new")

// identifyContent reads what was opened and compares it with the victim's
// content, and with that of the file that took its place.
func identifyContent(v *victim, fd int, buf []byte) identity {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if errno != 0 {
		return isOther
	}
	return v.identify(buf[:n])
}

func (v *victim) identify(content []byte) identity {
	rest, ok := bytes.CutPrefix(content, v.content[:v.size])
	switch {
	case ok && len(rest) == 0:
		return isVictim
	case ok && bytes.Equal(rest, replacement):
		return isReplacement
	}
	return isOther
}
