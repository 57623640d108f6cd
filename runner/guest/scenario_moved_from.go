package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["moved-from"] = scenario{
		Scenario: matrix.Scenario{
			Name: "moved-from",
			Doc: "rename(2) out of the watched directory. Promise: after IN_MOVED_FROM the old name is gone. Never " +
				"broken: vfs_rename calls fsnotify_move() after d_move(), so this is clean on every kernel and serves " +
				"as a negative control. Stale: open(2) of the old name succeeded and read(2) returned the file's content",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events: map[string][]string{
				"inotify":  {"IN_MOVED_FROM", "IN_MOVE", "IN_ALL_EVENTS"},
				"fanotify": {"FAN_MOVED_FROM", "FAN_MOVE", "FAN_RENAME"},
			},
		},
		bits:     unix.IN_MOVED_FROM | unix.FAN_RENAME,
		aside:    true,
		create:   createFile,
		kill:     func(v *victim) unix.Errno { return v.rename(v.dirfd, v.asidefd) },
		clean:    func(v *victim) { v.unlink(v.asidefd) },
		open:     openFile,
		identify: identifyContent,
	}
}
