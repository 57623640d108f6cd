package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["configfs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name: "configfs",
			Doc: "items of null_blk: rmdir(2) goes through vfs_rmdir(); configfs's own hooks run only when a whole " +
				"subsystem goes away",
			Scenarios: []string{"rmdir"},
		},
		Modules: []string{"configfs", "null_blk"},
		Type:    "configfs",
		names:   "nullb", // null_blk's subsystem (drivers/block/null_blk)
		Mount: func(_, dir string) error {
			return unix.Mount("configfs", dir, "configfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
	}
}
