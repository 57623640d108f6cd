package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["rename-over"] = scenario{
		Scenario: matrix.Scenario{
			Name: "rename-over",
			Doc: "rename(2) of another file onto the victim's name. Promise: after IN_MOVED_TO the name is the new " +
				"file. Never broken: vfs_rename calls fsnotify_move() after d_move(), so this is clean on every " +
				"kernel and serves as a negative control. Stale: the name still gave the victim's content; the new " +
				"file is what a reader should find and counts for nothing",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events: map[string][]string{
				"inotify":  {"IN_MOVED_TO", "IN_MOVE", "IN_ALL_EVENTS"},
				"fanotify": {"FAN_MOVED_TO", "FAN_MOVE", "FAN_RENAME"},
			},
		},
		bits:  unix.IN_MOVED_TO | unix.FAN_RENAME,
		aside: true,
		create: func(v *victim) unix.Errno {
			if errno := v.write(v.dirfd, nil); errno != 0 {
				return errno
			}
			return v.write(v.asidefd, replacement)
		},
		kill:     func(v *victim) unix.Errno { return v.rename(v.asidefd, v.dirfd) },
		clean:    func(v *victim) { v.unlink(v.dirfd) },
		open:     openFile,
		identify: identifyContent,
	}
}
