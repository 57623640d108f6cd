package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["tmpfs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name: "tmpfs",
			Doc:  "where the regression was reported; no f_fsid before 59cda49ecf6c (5.13), so fanotify FID marks give ENODEV",
		},
		Type: "tmpfs",
		Mount: func(_, dir string) error {
			return unix.Mount("tmpfs", dir, "tmpfs", mountFlags, "mode=0755")
		},
	}
}
