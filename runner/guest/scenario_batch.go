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
		create:   createBatch,
		kill:     unlinkFile,
		open:     openFile,
		identify: identifyContent,
	}
}

// createBatch creates the victim and those that follow it when the victim is
// the first of its batch.
func createBatch(v *victim) unix.Errno {
	first := v.seq
	if first%batchSize != 1 {
		return 0
	}
	for n := first; n < first+batchSize; n++ {
		v.set(v.nonce, n)
		if errno := v.write(v.dirfd, nil); errno != 0 {
			return errno
		}
	}
	v.set(v.nonce, first)
	return 0
}
