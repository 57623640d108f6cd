package guest

import (
	"context"

	"kqual/matrix"
)

func init() {
	filesystems["vfat"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "vfat",
			Doc:   "FAT16 with long names on a virtio disk; it has no hard links; FID marks since 5.1",
			Tools: []matrix.Tool{{Program: "mkfs.vfat", Package: "dosfstools"}},
		},
		// The character sets are asked for by name at the mount.
		Modules:   []string{"virtio_pci", "virtio_blk", "nls_cp437", "nls_iso8859-1", "vfat"},
		Type:      "vfat",
		ImageSize: 64 << 20,
		MakeImage: func(ctx context.Context, path string) error {
			return mkfs(ctx, "mkfs.vfat", "-F", "16", path)
		},
		Mount: mountAs("vfat", "codepage=437,iocharset=iso8859-1"),
	}
}
