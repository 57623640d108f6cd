package guest

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["recreate"] = scenario{
		Scenario: matrix.Scenario{
			Name: "recreate",
			Doc: "unlink(2), and the name comes back at once with new content. Promise: after IN_DELETE the name is " +
				"gone or new, never the old file. Broken by 49246466a989 (5.3), mended by a37d9a17f099 (5.17). Stale: " +
				"open(2) succeeded and read(2) returned the old content; the new file counts for nothing",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   deleteEvents,
		},
		bits:   unix.IN_DELETE,
		aside:  true,
		create: createFile,
		kill:   unlinkFile,
		after:  func(v *victim) unix.Errno { return v.write(v.dirfd, replacement) },
		// Another unlink here would be a second IN_DELETE of the same name.
		clean: func(v *victim) {
			v.rename(v.dirfd, v.asidefd)
			v.unlink(v.asidefd)
		},
		open: openFile,
		identify: func(v *victim, fd int, buf []byte) identity {
			n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
			switch {
			case errno != 0:
				return isOther
			case n == 0: // the new file, before its content: the old one was never empty
				return isReplacement
			}
			return v.identify(buf[:n])
		},
	}
}
