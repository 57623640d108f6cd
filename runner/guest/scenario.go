package guest

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// identity is what an open found.
type identity int

const (
	isVictim      identity = iota // the dead file, verified
	isOther                       // something else
	isReplacement                 // what the scenario itself put in the victim's place
)

// scenario is a way a name dies. None of its functions may allocate.
type scenario struct {
	matrix.Scenario
	// bits are the event bits that decide; inotify and fanotify use the same
	// values for IN_DELETE/FAN_DELETE and their kin.
	bits uint64
	// create brings the victim to life.
	create func(v *victim) unix.Errno
	// makes is the system call of create that a filesystem may refuse with
	// EPERM or EOPNOTSUPP; "" where none may.
	makes string
	// kill makes the name die; the deciding event comes out of it.
	kill func(v *victim) unix.Errno
	// after follows kill at once, while the reader may still be at work; nil
	// where nothing does.
	after func(v *victim) unix.Errno
	// clean takes away what a trial leaves behind, before the next one; nil
	// where it leaves nothing.
	clean func(v *victim)
	// aside asks for a second directory, victim.asidefd, that nobody watches.
	aside bool
	// held asks for another process that holds victims open for writing, from
	// before kill until the trial is through: so many at a time, and create makes
	// them ahead.
	held int
	// churn, where it is set, runs instead of trials in lock-step, and none of
	// the functions above is used.
	churn *churn
	// open is the reader's attempt at the name.
	open func(v *victim) (fd int, errno unix.Errno)
	// identify tells what was opened.
	identify func(v *victim, fd int, buf []byte) identity
}

// failed is the error of a create that ended with errno: a refusal where the
// filesystem cannot do what the scenario needs.
func (sc scenario) failed(v *victim, errno unix.Errno) error {
	if sc.makes != "" && (errno == unix.EPERM || errno == unix.EOPNOTSUPP) {
		return refused(sc.makes, "", errno)
	}
	return fmt.Errorf("create %s: %w", v.name[:v.nameLen], errno)
}

// victim is one name, used for one trial and never again.
type victim struct {
	dirfd   int
	name    [32]byte // NUL-terminated
	nameLen int
	content [48]byte
	size    int // of content, bytes

	nonce   uint64      // of its content
	seq     int         // number of the name in its directory
	asidefd int         // see scenario.aside
	heldfd  int         // a descriptor that a scenario keeps from create to clean
	stat    unix.Stat_t // of the living victim, where content does not tell
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
	v.nonce, v.seq = nonce, n
}
