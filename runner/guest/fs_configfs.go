package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// withOpen is a scenario whose reader opens with these flags.
func withOpen(sc scenario, flags uintptr) scenario {
	sc.open = func(v *victim) (int, unix.Errno) { return v.openFlags(flags | unix.O_NOFOLLOW) }
	return sc
}

func init() {
	filesystems["configfs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name: "configfs",
			Doc: "items of null_blk: rmdir(2) goes through vfs_rmdir(); configfs's own hooks run only when a whole " +
				"subsystem goes away",
			Scenarios: []string{"rmdir"},
		},
		// configfs_dir_open() says ENOENT of a directory that is going away, so
		// open(2) never finds the dead one; O_PATH does.
		scenarios: map[string]scenario{"rmdir": withOpen(rmdirScenario(), unix.O_PATH)},
		Modules:   []string{"configfs", "null_blk"},
		Type:      "configfs",
		names:     "nullb", // null_blk's subsystem (drivers/block/null_blk)
		Mount: func(_, dir string) error {
			return unix.Mount("configfs", dir, "configfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
	}
}
