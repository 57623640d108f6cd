package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// batchSize is the number of files that live at a time.
const batchSize = 64

func init() {
	scenarios["batch"] = scenario{
		Scenario: matrix.Scenario{
			Name: "batch",
			Doc: "64 files are created, then deleted one by one, so a victim's dentry is old and has living " +
				"neighbours when it dies. Promise: after IN_DELETE the name is gone. Broken by 49246466a989 (5.3), " +
				"mended by a37d9a17f099 (5.17). Stale: open(2) succeeded and read(2) returned the victim's content",
			Object:   matrix.ObjectDirectory,
			Identity: "content",
			Events:   deleteEvents,
		},
		bits:     unix.IN_DELETE,
		create:   func(v *victim) unix.Errno { return createAhead(v, batchSize) },
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}

// createAhead creates the victim and those that follow it when the victim is the
// first of a batch of that size.
func createAhead(v *victim, size int) unix.Errno {
	first := v.seq
	if first%size != 1 {
		return 0
	}
	for n := first; n < first+size; n++ {
		v.set(v.nonce, n)
		if errno := v.write(v.dirfd, nil); errno != 0 {
			return errno
		}
	}
	v.set(v.nonce, first)
	return 0
}
