package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["open-writer"] = scenario{
		Scenario: matrix.Scenario{
			Name: "open-writer",
			Doc: "unlink(2) of a file that somebody else holds open for writing. Promise: after IN_DELETE the name is " +
				"gone, though the file lives on. d_delete() unhashes a dentry with other references and keeps its " +
				"inode, where it makes an unheld one negative. Broken by 49246466a989 (5.3), mended by a37d9a17f099 " +
				"(5.17). Stale: open(2) succeeded and read(2) returned the victim's content",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   deleteEvents,
		},
		bits: unix.IN_DELETE,
		// A descriptor of the deleter stands for one of another process: all that
		// d_delete() (fs/dcache.c) looks at is the dentry's reference count, and an
		// open file holds one reference whoever has the descriptor.
		create: func(v *victim) (errno unix.Errno) {
			v.heldfd, errno = v.writeOpen(v.dirfd, nil)
			return errno
		},
		kill:     unlinkFile,
		clean:    func(v *victim) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(v.heldfd), 0, 0) },
		open:     openFile,
		identify: identifyContent,
	}
}
