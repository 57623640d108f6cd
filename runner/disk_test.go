package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kqual/matrix"
	"kqual/runner/guest"
)

// A mkfs program that is not there is a failure of the host with the package to
// install. Run makes the images before it fetches or boots a kernel.
func TestAMissingMkfsProgramIsAFailureOfTheHost(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name := range guest.Filesystems() {
		f, err := guest.LookupFilesystem(name)
		if err != nil {
			t.Fatal(err)
		}
		plan := &matrix.Plan{Kernels: []matrix.KernelPlan{{Cells: []matrix.Cell{{Filesystem: name}}}}}
		disks, err := makeDisks(context.Background(), plan, t.TempDir())
		if len(f.Tools) == 0 {
			if err != nil || len(disks) > 0 {
				t.Errorf("%s needs no disk, got %v, %v", name, disks, err)
			}
			continue
		}
		var failure *matrix.Failure
		switch {
		case !errors.As(err, &failure):
			t.Errorf("%s: got %v, want a failure", name, err)
		case failure.Side != matrix.SideHost || failure.Reason != "filesystem "+name+": "+f.Tools[0].Program+" is not installed" ||
			failure.Hint != "apt-get install "+f.Tools[0].Package:
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

// The images are what the mkfs programs of this host make, as large as they
// should be; each format has its magic number where the kernel looks for it.
func TestImagesAreFormatted(t *testing.T) {
	magic := map[string]struct {
		at   int64
		want string
	}{
		"ext4": {0x438, "\x53\xef"}, "xfs": {0, "XFSB"}, "btrfs": {0x10040, "_BHRfS_M"}, "vfat": {0x36, "FAT16"},
		"overlay": {0x438, "\x53\xef"}, "overlay-upper": {0x438, "\x53\xef"},
	}
	for name := range guest.Filesystems() {
		f, err := guest.LookupFilesystem(name)
		if err != nil {
			t.Fatal(err)
		}
		if f.ImageSize == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, tool := range f.Tools {
				if _, err := exec.LookPath(tool.Program); err != nil {
					t.Skipf("needs %s: apt-get install %s", tool.Program, tool.Package)
				}
			}
			path := filepath.Join(t.TempDir(), "img")
			if err := makeDisk(context.Background(), f, path); err != nil {
				t.Fatal(err)
			}
			image, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			if info, err := image.Stat(); err != nil || info.Size() != f.ImageSize {
				t.Errorf("the image: %v, %v", info, err)
			}
			got := make([]byte, len(magic[name].want))
			if _, err := image.ReadAt(got, magic[name].at); err != nil || len(got) == 0 || string(got) != magic[name].want {
				t.Errorf("%q at %#x (%v), want %q", got, magic[name].at, err, magic[name].want)
			}
		})
	}
}
