package runner

import (
	"fmt"
	"os"
	"syscall"
)

// nobody is the user and group that QEMU runs as where kqual is root: a guest
// that breaks out of its machine then owns nothing (65534 in base-passwd).
const nobody = 65534

// dropOptions are the options of setpriv(1) that take root's privileges away:
// user, groups, and any way back. setpriv sets the parent-death signal after
// them, as it must: a change of the user clears it. Under KVM the group of
// /dev/kvm stays.
func dropOptions(accel string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	groups := "--clear-groups"
	if accel == AccelKVM {
		if info, err := os.Stat("/dev/kvm"); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				groups = fmt.Sprintf("--groups %d", st.Gid)
			}
		}
	}
	return fmt.Sprintf("--reuid %d --regid %d %s --no-new-privs ", nobody, nobody, groups)
}

// handOver opens files for QEMU, which may not be able to reach them by path:
// they lie below directories of root's. The paths that it returns are those of
// the open files in QEMU.
type handOver struct {
	add   func(*os.File) int // returns the number of the descriptor in QEMU
	files []*os.File
	err   error
}

// open hands over a file for reading.
func (h *handOver) open(path string) string {
	f, err := os.Open(path)
	return fmt.Sprintf("/proc/self/fd/%d", h.take(f, err))
}

// create hands over a new file for writing, as a set of descriptors of QEMU's.
func (h *handOver) create(path string) (fd int) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	return h.take(f, err)
}

func (h *handOver) take(f *os.File, err error) int {
	if err != nil {
		if h.err == nil {
			h.err = err
		}
		return -1
	}
	h.files = append(h.files, f)
	// QEMU opens the file once more by its descriptor's name: nobody must be
	// allowed to, whatever the umask was.
	if os.Geteuid() == 0 {
		if info, err := f.Stat(); err == nil && info.Mode().Perm()&0o004 == 0 {
			_ = f.Chmod(info.Mode().Perm() | 0o004)
		}
	}
	return h.add(f)
}

func (h *handOver) close() {
	for _, f := range h.files {
		f.Close()
	}
}
