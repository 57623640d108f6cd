package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"kqual/kernels"
	"kqual/matrix"
)

// defaultMatrix is the file that is read where none is named.
const defaultMatrix = "matrix.yaml"

// selector is the part of a command line that says what to run.
type selector struct {
	path       string
	only, skip []string
}

func (s *selector) matrixFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.path, "matrix", "m", defaultMatrix, "matrix `FILE`")
	_ = cmd.MarkFlagFilename("matrix", "yaml", "yml")
}

func (s *selector) flags(cmd *cobra.Command) {
	s.matrixFlag(cmd)
	cmd.Flags().StringArrayVar(&s.only, "only", nil, "run only cells that match, as in `kernel=6.*,watch=IN_*`; repeat to widen")
	cmd.Flags().StringArrayVar(&s.skip, "skip", nil, "leave out cells that match, as in `filesystem=ext4`; repeatable")
}

// load reads the matrix.
func (s *selector) load() (*matrix.Spec, error) {
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usage(fmt.Errorf("read the matrix: %s does not exist; name another with --matrix FILE", s.path))
	case err != nil:
		return nil, usage(fmt.Errorf("read the matrix: %w", err))
	}
	spec, err := matrix.Parse(s.path, data, catalog())
	if err != nil {
		return nil, usage(err)
	}
	return spec, nil
}

// expand replaces each entry that stands for several kernels by those. One that
// cannot be expanded now stays: it gets its error when it is fetched, and the
// others go on.
func (s *selector) expand(ctx context.Context, a *app, spec *matrix.Spec) error {
	var cache *kernels.Cache
	taken := map[string]bool{}
	var out []matrix.Kernel
	stands := map[string][]string{} // entry → its kernels
	for _, k := range spec.Kernels {
		list := []matrix.Kernel{k}
		if kernels.CanExpand(k) {
			var err error
			if cache == nil {
				if cache, err = openCache(); err != nil {
					return err
				}
			}
			env := kernels.Env{Cache: cache, Kernel: k.Name, Progress: func(kernels.Event) {}}
			if list, err = kernels.Expand(ctx, env, k); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				a.say("kqual: warning: %s", describe(err))
				list = []matrix.Kernel{k}
			}
		}
		for _, one := range list {
			if taken[one.Name] {
				return usage(fmt.Errorf("%s:%d: two kernels are named %q; rename one entry", spec.Path, k.Line, one.Name))
			}
			taken[one.Name] = true
			stands[k.Name] = append(stands[k.Name], one.Name)
		}
		out = append(out, list...)
	}
	spec.Kernels = out
	nameRules(spec, stands)
	return nil
}

// nameRules lets a rule that names an entry speak of all its kernels.
func nameRules(spec *matrix.Spec, stands map[string][]string) {
	for i := range spec.Expect {
		var patterns []string
		for _, p := range spec.Expect[i].Kernel {
			if names, ok := stands[p]; ok {
				patterns = append(patterns, names...)
			} else {
				patterns = append(patterns, p)
			}
		}
		spec.Expect[i].Kernel = patterns
	}
}

// plan reads the matrix and plans the selection. What the selection names in
// vain is said on standard error.
func (s *selector) plan(ctx context.Context, a *app) (*matrix.Spec, *matrix.Plan, error) {
	selection, err := matrix.ParseSelection(s.only, s.skip)
	if err != nil {
		return nil, nil, usage(err)
	}
	spec, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	if err := s.expand(ctx, a, spec); err != nil {
		return nil, nil, err
	}
	p, err := matrix.NewPlan(spec, catalog(), selection)
	if err != nil {
		return nil, nil, usage(fmt.Errorf("%s: %w", s.path, err))
	}
	for _, line := range p.Stray {
		a.say("kqual: warning: %s", line)
	}
	return spec, p, nil
}
