package guest

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	checks["nlink"] = check{
		Check: matrix.Check{
			Name:       "nlink",
			Doc:        "fstat(2) after the open: st_nlink of 0 means deleted; blind where another hard link remains",
			Recognises: true,
		},
		dead: func(r *reader, fd int) bool {
			_, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&r.stat)), 0)
			return errno == 0 && r.stat.Nlink == 0
		},
	}
}
