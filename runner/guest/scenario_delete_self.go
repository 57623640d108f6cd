package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["delete-self"] = scenario{
		Scenario: matrix.Scenario{
			Name: "delete-self",
			Doc: "unlink(2) of a file that is watched itself. Promise: after IN_DELETE_SELF the name is gone. Never " +
				"broken: dentry_unlink_inode() takes the inode out of the dentry before fsnotify_inoderemove(), so " +
				"this is clean on every kernel and serves as a negative control. Stale: open(2) succeeded and read(2) " +
				"returned the victim's content",
			Object:   matrix.ObjectFile,
			Identity: "content",
			Events: map[string][]string{
				"inotify":  {"IN_DELETE_SELF", "IN_ALL_EVENTS"},
				"fanotify": {"FAN_DELETE_SELF"},
			},
		},
		bits:     unix.IN_DELETE_SELF,
		create:   func(v *victim) unix.Errno { return createAhead(v, batchSize) },
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}
