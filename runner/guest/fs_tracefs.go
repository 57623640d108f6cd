package guest

import (
	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["tracefs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name: "tracefs",
			Doc: "trace instances: 5.10 and newer remove them by simple_recursive_removal(), which invalidates before " +
				"it notifies, so they are clean on an affected build, too; rmdir(2) then tells a second time. Making " +
				"an instance takes long, so evidence comes in slowly",
			Scenarios: []string{"rmdir"},
		},
		Type:      "tracefs",
		names:     "instances",
		noWitness: "tracefs removes a directory by itself and rmdir(2) tells of it a second time",
		Mount: func(_, dir string) error {
			return unix.Mount("tracefs", dir, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
	}
}
