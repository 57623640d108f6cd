package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	scenarios["hardlink"] = scenario{
		Scenario: matrix.Scenario{
			Name: "hardlink",
			Doc: "unlink(2) of one of two names of a file; the other, in a directory that nobody watches, remains. " +
				"Promise: after IN_DELETE this name is gone, though the file lives on. Broken by 49246466a989 (5.3), " +
				"mended by a37d9a17f099 (5.17). Stale: open(2) of the removed name succeeded and read(2) returned the " +
				"file's content. st_nlink is 1 then, so the check nlink is blind; getdents and target_fid are not",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   deleteEvents,
		},
		bits:  unix.IN_DELETE,
		aside: true,
		makes: "link",
		create: func(v *victim) unix.Errno {
			if errno := v.write(v.dirfd, nil); errno != 0 {
				return errno
			}
			return v.link(v.dirfd, v.asidefd)
		},
		kill:     unlinkFile,
		clean:    func(v *victim) { v.unlink(v.asidefd) },
		open:     openFile,
		identify: identifyContent,
	}
}
