package guest

import (
	"context"

	"kqual/matrix"
)

func init() {
	filesystems["xfs"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "xfs",
			Doc:   "on a virtio disk; FID marks since 5.1",
			Tools: []matrix.Tool{{Program: "mkfs.xfs", Package: "xfsprogs"}},
		},
		Modules: []string{"virtio_pci", "virtio_blk", "crc32c_generic", "xfs"},
		Type:    "xfs",
		// mkfs.xfs refuses less than 300 MB since xfsprogs 5.19; the file is sparse.
		ImageSize: 320 << 20,
		// What 5.4 mounts: inobtcount and bigtime came with 5.10, nrext64 with 5.19.
		MakeImage: func(ctx context.Context, path string) error {
			return mkfs(ctx, "mkfs.xfs", "-q", "-f", "-m", "bigtime=0,inobtcount=0", "-i", "nrext64=0", path)
		},
		Mount: mountAs("xfs", ""),
	}
}
