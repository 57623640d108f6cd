package guest

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	checks["getdents"] = check{
		Check: matrix.Check{
			Name: "getdents",
			Doc:  "getdents64(2) on the directory before the open: it takes the directory's lock, so it waits for the unlink to end",
		},
		before: func(r *reader) {
			unix.RawSyscall(unix.SYS_LSEEK, uintptr(r.listfd), 0, unix.SEEK_SET)
			for {
				n, _, errno := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(r.listfd), uintptr(unsafe.Pointer(&r.list[0])), uintptr(len(r.list)))
				if errno != 0 || n == 0 {
					return
				}
			}
		},
	}
}
