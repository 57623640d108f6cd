package guest

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// refusal is a system call that this kernel refused: the cell is unsupported.
type refusal struct{ matrix.Refusal }

func (r *refusal) Error() string {
	if r.Flag == "" {
		return fmt.Sprintf("%s: %s", r.Syscall, r.Errno)
	}
	return fmt.Sprintf("%s %s: %s", r.Syscall, r.Flag, r.Errno)
}

// refused turns the errno of a system call into a refusal where the errno
// means that the kernel cannot do it, and into a plain error (no memory, no
// descriptors) otherwise.
func refused(syscall, flag string, err error) error {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM),
		errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%s %s: %w", syscall, flag, err)
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s %s: %w", syscall, flag, err)
	}
	return &refusal{matrix.Refusal{Syscall: syscall, Flag: flag, Errno: unix.ErrnoName(errno)}}
}
