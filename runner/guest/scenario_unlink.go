package guest

import (
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
			Events:   deleteEvents,
		},
		bits:     unix.IN_DELETE,
		create:   createFile,
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}

// deleteEvents are the flags that ask for the deciding event where a file's
// name is removed from the watched directory.
var deleteEvents = map[string][]string{"inotify": {"IN_DELETE", "IN_ALL_EVENTS"}, "fanotify": {"FAN_DELETE"}}

func createFile(v *victim) unix.Errno { return v.write(v.dirfd, nil) }

func unlinkFile(v *victim) unix.Errno { return v.unlink(v.dirfd) }

func openFile(v *victim) (int, unix.Errno) { return v.openFlags(unix.O_RDONLY) }
