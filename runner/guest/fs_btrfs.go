package guest

import (
	"context"

	"kqual/matrix"
)

func init() {
	filesystems["btrfs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "btrfs",
			Doc:   "the top-level subvolume of a virtio disk; FID marks since 5.1",
			Tools: []matrix.Tool{{Program: "mkfs.btrfs", Package: "btrfs-progs"}},
		},
		// The checksum is asked for by name when btrfs is loaded; no modprobe
		// would find it in the guest.
		Modules:   []string{"virtio_pci", "virtio_blk", "crc32c_generic", "btrfs"},
		Type:      "btrfs",
		ImageSize: 256 << 20,
		// The features that btrfs-progs turn on by themselves until 6.2, no-holes
		// (3.14) and free-space-tree (4.5) among them, are older than 5.4.
		MakeImage: func(ctx context.Context, path string) error {
			return mkfs(ctx, "mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", path)
		},
		Mount: mountAs("btrfs", ""),
	}
}
