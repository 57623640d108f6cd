package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// heldSize is the number of files that are held at a time. Telling the other
// process of each alone made a trial 2 to 5 times as long (measured, TCG, 5.10
// to 7.3).
const heldSize = 16

func init() {
	scenarios["open-writer"] = scenario{
		Scenario: matrix.Scenario{
			Name: "open-writer",
			Doc: "unlink(2) of a file that another process holds open for writing; 16 are made and held at a time. " +
				"Promise: after IN_DELETE the name is gone, though the file lives on. d_delete() unhashes a dentry with " +
				"other references and keeps its inode, where it makes an unheld one negative. Broken by 49246466a989 " +
				"(5.3), mended by a37d9a17f099 (5.17). Stale: open(2) succeeded and read(2) returned the victim's content",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   deleteEvents,
		},
		bits:     unix.IN_DELETE,
		held:     heldSize,
		create:   func(v *victim) unix.Errno { return createAhead(v, heldSize) },
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}
