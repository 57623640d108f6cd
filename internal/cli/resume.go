package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

// earlier reads the run in dir that is to be gone on with: what it measured,
// and the time it took. It must be of the same matrix, the same cells and the
// same kqual, or the results would not be of one run.
func earlier(dir string, spec *matrix.Spec, plan *matrix.Plan) ([]matrix.KernelRun, time.Duration, error) {
	path := filepath.Join(dir, resultsName)
	r, err := reports.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, usage(fmt.Errorf("--resume: there is no %s; leave --resume out to begin", path))
	case err != nil:
		return nil, 0, usage(fmt.Errorf("--resume: %w", err))
	case r.Matrix.SHA256 != spec.Hash:
		return nil, 0, usage(fmt.Errorf("--resume: %s is of another %s; leave --resume out to begin anew, or choose another --out", path, spec.Path))
	case r.Tool != tool():
		return nil, 0, usage(fmt.Errorf("--resume: %s was made by %s %s, this is %s; leave --resume out to begin anew", path, r.Tool.Name, r.Tool.Version, tool().Version))
	}
	planned := map[string]bool{}
	for _, k := range plan.Kernels {
		for _, c := range k.Cells {
			planned[c.ID()] = true
		}
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil && !planned[c.Cell.ID()] {
				return nil, 0, usage(fmt.Errorf("--resume: %s has %s, which is not selected now; give the same --only and --skip as before", path, c.Cell.ID()))
			}
		}
	}
	return r.Kernels, r.Timing.Wall, nil
}
