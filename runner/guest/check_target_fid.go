package guest

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// emptyPath is a NUL-terminated empty string for system calls with AT_EMPTY_PATH.
var emptyPath = [1]byte{}

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
			r.opened.bytes = uint32(len(r.opened.handle))
			_, _, errno := unix.RawSyscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(fd), uintptr(unsafe.Pointer(&emptyPath)),
				uintptr(unsafe.Pointer(&r.opened)), uintptr(unsafe.Pointer(&r.mountID)), unix.AT_EMPTY_PATH, 0)
			return errno == 0 && r.event.handle != nil && r.opened.kind == r.event.handleType &&
				bytes.Equal(r.opened.handle[:r.opened.bytes], r.event.handle)
		},
	}
}
