package guest

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// emptyPath is a NUL-terminated empty string for system calls with AT_EMPTY_PATH.
var emptyPath = [1]byte{}

// atHandleFID is AT_HANDLE_FID (96b2b072ee62, 6.5): a handle to compare, which
// need not be one that open_by_handle_at(2) takes.
const atHandleFID = 0x200

// fileHandle is struct file_handle with room for MAX_HANDLE_SZ bytes.
type fileHandle struct {
	bytes  uint32
	kind   int32
	handle [128]byte
}

func init() {
	checks["target_fid"] = check{
		Check: matrix.Check{
			Name:       "target_fid",
			Doc:        "name_to_handle_at(2) of what was opened against the handle in the event: equal means it is the deleted object",
			Recognises: true,
			Validate: func(w matrix.Watch) string {
				if !reportsTargetFID(w) {
					return "needs events that carry the target's handle; use fanotify with FAN_REPORT_DFID_NAME_TARGET in init"
				}
				return ""
			},
		},
		dead: func(r *reader, fd int) bool {
			// Overlayfs gives handles that cannot be opened only to those who ask
			// for such; kernels before 6.5 say EINVAL to that.
			errno := r.handleOf(fd, unix.AT_EMPTY_PATH|atHandleFID)
			if errno == unix.EINVAL {
				errno = r.handleOf(fd, unix.AT_EMPTY_PATH)
			}
			return errno == 0 && r.event.handle != nil && r.opened.kind == r.event.handleType &&
				bytes.Equal(r.opened.handle[:r.opened.bytes], r.event.handle)
		},
	}
}

// handleOf puts fd's file handle into r.opened.
func (r *reader) handleOf(fd int, flags uintptr) unix.Errno {
	r.opened.bytes = uint32(len(r.opened.handle))
	_, _, errno := unix.RawSyscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(fd), uintptr(unsafe.Pointer(&emptyPath)),
		uintptr(unsafe.Pointer(&r.opened)), uintptr(unsafe.Pointer(&r.mountID)), flags, 0)
	return errno
}
