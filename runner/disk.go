package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"kqual/matrix"
	"kqual/runner/guest"
)

// makeDisks formats one image for every filesystem of the plan that lives on
// a disk. Boots share them: what a guest writes goes to a snapshot.
func makeDisks(ctx context.Context, plan *matrix.Plan, dir string) (map[string]string, error) {
	disks := map[string]string{}
	for _, k := range plan.Kernels {
		for _, c := range k.Cells {
			if _, ok := disks[c.Filesystem]; ok {
				continue
			}
			f, err := guest.LookupFilesystem(c.Filesystem)
			if err != nil {
				return nil, err
			}
			if f.ImageSize == 0 {
				continue
			}
			for _, tool := range f.Tools {
				if _, err := exec.LookPath(tool.Program); err != nil {
					return nil, &matrix.Failure{
						Side: matrix.SideHost, Reason: fmt.Sprintf("filesystem %s: %s is not installed", f.Name, tool.Program),
						Hint: "apt-get install " + tool.Package,
					}
				}
			}
			path := filepath.Join(dir, f.Name+".img")
			if err := makeDisk(ctx, f, path); err != nil {
				return nil, fmt.Errorf("make the %s image: %w", f.Name, err)
			}
			disks[f.Name] = path
		}
	}
	return disks, nil
}

func makeDisk(ctx context.Context, f guest.Filesystem, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	err = file.Truncate(f.ImageSize)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return f.MakeImage(ctx, path)
}
