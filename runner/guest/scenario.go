package guest

import (
	"strconv"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// identity is what an open found.
type identity int

const (
	isVictim identity = iota // the dead file, verified
	isOther                  // something else
)

// scenario is a way a name dies. None of its functions may allocate.
type scenario struct {
	matrix.Scenario
	// bits are the event bits that decide; inotify and fanotify use the same
	// values for IN_DELETE/FAN_DELETE and their kin.
	bits uint64
	// create brings the victim to life.
	create func(v *victim) unix.Errno
	// kill makes the name die; the deciding event comes out of it.
	kill func(v *victim) unix.Errno
	// open is the reader's attempt at the name.
	open func(v *victim) (fd int, errno unix.Errno)
	// identify tells what was opened.
	identify func(v *victim, fd int, buf []byte) identity
}

// victim is one name, used for one trial and never again.
type victim struct {
	dirfd   int
	name    [32]byte // NUL-terminated
	nameLen int
	content [48]byte
	size    int // of content, bytes
}

// set makes v the n-th name of a directory, with content that no other trial
// of this boot has.
func (v *victim) set(nonce uint64, n int) {
	b := strconv.AppendInt(append(v.name[:0], 'v'), int64(n), 10)
	v.nameLen = len(b)
	v.name[len(b)] = 0
	c := strconv.AppendUint(append(v.content[:0], "kqual "...), nonce, 36)
	c = strconv.AppendInt(append(c, ' '), int64(n), 10)
	v.size = len(c)
}
