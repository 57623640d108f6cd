package guest

import (
	"fmt"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// Credentials belong to a thread (credentials(7)): a raw system call changes
// those of the calling one alone, where Go's own setters would change all. With
// the effective user 0 the effective capabilities go, too (capabilities(7)).

// noChange is -1, "leave as it is", to setresuid(2) and setresgid(2).
const noChange = ^uintptr(0)

// become makes uid the effective user and group of the calling thread, which
// must be locked. The real and saved ones stay, so root can come back.
func become(uid int) error {
	calls := []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID}
	if uid == 0 { // the user first: others may not change their group
		calls = []uintptr{unix.SYS_SETRESUID, unix.SYS_SETRESGID}
	}
	for _, call := range calls {
		if _, _, errno := unix.RawSyscall(call, noChange, uintptr(uid), noChange); errno != 0 {
			return fmt.Errorf("become user %d: %w", uid, errno)
		}
	}
	return nil
}

// as calls f as that user, on a locked thread of root's.
func as(uid int, f func() error) error {
	if uid == 0 {
		return f()
	}
	if err := become(uid); err != nil {
		return err
	}
	err := f()
	if back := become(0); back != nil {
		return back
	}
	return err
}

// openGroup makes a group for w as its user.
func openGroup(src eventSource, w matrix.Watch) (g group, err error) {
	err = as(w.UID, func() error {
		g, err = src.open(w)
		return err
	})
	return g, err
}

// markGroup makes a group watch path with w's mask as its user.
func markGroup(g group, w matrix.Watch, path string) error {
	return as(w.UID, func() error { return g.mark(w, path) })
}
