package guest

import (
	"os"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["overlay-upper"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "overlay-upper",
			Doc:   "the upper directory of a mounted overlay, used past the overlay: what the ext4 below does",
			Tools: ext4Tools,
		},
		Modules:   append([]string{"overlay"}, ext4Modules...),
		Type:      "overlay",
		ImageSize: ext4Size,
		MakeImage: makeExt4,
		// The overlay is mounted beside dir, and its upper directory bound to dir.
		Mount: func(device, dir string) error {
			merged := dir + ".merged"
			if err := os.MkdirAll(merged, 0o755); err != nil {
				return err
			}
			if err := mountOverlay(device, merged); err != nil {
				return err
			}
			return unix.Mount(merged+".layers/upper", dir, "", unix.MS_BIND, "")
		},
	}
}
