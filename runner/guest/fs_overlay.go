package guest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func init() {
	filesystems["overlay"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "overlay",
			Doc:   "the merged directory of an overlay whose layers are on ext4; overlayfs drops the dentry itself; FID marks since 6.6",
			Tools: ext4Tools,
		},
		Modules:   append([]string{"overlay"}, ext4Modules...),
		Type:      "overlay",
		ImageSize: ext4Size,
		MakeImage: makeExt4,
		// ovl_remove_upper (fs/overlayfs/dir.c) drops the dentry before vfs_unlink
		// tells anyone, so DELETE comes early and says nothing of d_delete().
		noWitness: "overlayfs drops the dentry itself, before any event",
		Mount:     mountOverlay,
	}
}

// mountOverlay mounts device beside dir, and on dir an overlay whose lower,
// upper and work directories are there.
func mountOverlay(device, dir string) error {
	layers := dir + ".layers"
	if err := os.MkdirAll(layers, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, layers, "ext4", mountFlags, ""); err != nil {
		return fmt.Errorf("the ext4 below: %w", err)
	}
	for _, name := range []string{"/lower", "/upper", "/work"} {
		if err := os.MkdirAll(layers+name, 0o755); err != nil {
			return err
		}
	}
	return unix.Mount("overlay", dir, "overlay", mountFlags,
		"lowerdir="+layers+"/lower,upperdir="+layers+"/upper,workdir="+layers+"/work")
}
