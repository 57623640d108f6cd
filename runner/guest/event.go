package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// event is one record read from a group. Its byte slices point into the
// reader's buffer and are valid until the next read.
type event struct {
	mask       uint64
	name       []byte // of the directory entry, without trailing NULs
	handleType int32  // of the target's file handle
	handle     []byte // the target's file handle; nil where the event has none
}

// eventSource makes groups: an inotify instance or a fanotify group.
type eventSource interface {
	catalog() matrix.EventSource
	// open makes a group for w. The error is a *refusal where the kernel
	// refused a flag.
	open(w matrix.Watch) (group, error)
	// companion is w as the groups beside the reader's have it.
	companion(w matrix.Watch) matrix.Watch
	// poolKey names the watches whose groups can stand in for each other: the
	// order in which groups are told is fixed for their lifetime, so a pool is
	// ordered once and used for all of them.
	poolKey(w matrix.Watch) string
	// poolLimit is how many groups this kernel lets one pool have.
	poolLimit() int
	// mask are the event bits of w as they appear in events.
	mask(w matrix.Watch) uint64
}

// group is one queue of events.
type group interface {
	fd() int
	// mark makes the group watch dir with w's mask.
	mark(w matrix.Watch, dir string) error
	// rearm places a watch again that ends with its first event, before each
	// trial. It must not allocate.
	rearm() unix.Errno
	// unmark ends the watch that mark began.
	unmark() error
	// next takes one event off the front of buf and returns the rest; nil ends
	// the buffer. It must not allocate.
	next(buf []byte, ev *event) []byte
	close() error
}

// queueOverflow is the bit that both interfaces set when a queue was full:
// IN_Q_OVERFLOW, FAN_Q_OVERFLOW.
const queueOverflow = 0x4000

// eventBits are the bits of a mask that ask for events, the same in both
// interfaces: IN_ALL_EVENTS, and FAN_OPEN_EXEC (0x1000) and FAN_RENAME
// (0x10000000) beside it.
const eventBits = 0x10001fff
