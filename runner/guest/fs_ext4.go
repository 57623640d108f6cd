package guest

import (
	"context"

	"kqual/matrix"
)

// ext4Features are what 5.4 already mounts, named one by one: newer e2fsprogs
// turn on orphan_file (5.15) and metadata_csum_seed.
const ext4Features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg," +
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,64bit,metadata_csum"

// What ext4 takes, and what lies on top of it.
var (
	ext4Tools   = []matrix.Tool{{Program: "mkfs.ext4", Package: "e2fsprogs"}}
	ext4Modules = []string{"virtio_pci", "virtio_blk", "ext4"}
)

const ext4Size = 64 << 20 // bytes

func init() {
	filesystems["ext4"] = Filesystem{
		Filesystem: matrix.Filesystem{
			Name:  "ext4",
			Doc:   "on a virtio disk; FID marks since 5.1",
			Tools: ext4Tools,
		},
		Modules:   ext4Modules,
		Type:      "ext4",
		ImageSize: ext4Size,
		MakeImage: makeExt4,
		Mount:     mountAs("ext4", ""),
	}
}

func makeExt4(ctx context.Context, path string) error {
	return mkfs(ctx, "mkfs.ext4", "-q", "-F", "-O", ext4Features,
		"-E", "lazy_itable_init=0,lazy_journal_init=0", path)
}
