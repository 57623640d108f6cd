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
	locked     bool // take the kernels from the lock
	offline    bool // no network

	text    []byte                   // of the matrix
	entries []matrix.Kernel          // the matrix's kernels before expand
	entryOf map[string]matrix.Kernel // what stood in the matrix for a kernel
}

// getFlags are for commands that get kernels.
func (s *selector) getFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.locked, "locked", false, "take every kernel exactly as the lock beside the matrix has it (see kqual kernels lock)")
	s.offlineFlag(cmd)
}

func (s *selector) offlineFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.offline, "offline", false, "use no network: take indexes, packages and sources from the cache alone")
}

// openCache is openCache for a command that may be offline.
func (s *selector) openCache() (*kernels.Cache, error) {
	c, err := openCache()
	if err == nil {
		c.Offline = s.offline
	}
	return c, err
}

// lock reads the lock of the matrix.
func (s *selector) lock() (*kernels.Lock, error) {
	l, err := kernels.LoadLock(kernels.LockPath(s.path))
	if err != nil {
		return nil, usage(err)
	}
	return l, nil
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
	s.text = data
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
	var lock *kernels.Lock
	if s.locked {
		var err error
		if lock, err = s.lock(); err != nil {
			return err
		}
		if !lock.Fits(spec.Kernels) {
			a.say("kqual: warning: %s was not made for the kernels that %s names now; kqual kernels update shows what differs", kernels.LockPath(s.path), s.path)
		}
	}
	s.entries, s.entryOf = spec.Kernels, map[string]matrix.Kernel{}
	taken := map[string]bool{}
	var out []matrix.Kernel
	stands := map[string][]string{} // entry → its kernels
	for _, k := range spec.Kernels {
		list := []matrix.Kernel{k}
		if lock != nil {
			list = lock.Pinned(k)
		} else if kernels.CanExpand(k) {
			var err error
			if cache == nil {
				if cache, err = s.openCache(); err != nil {
					return err
				}
			}
			env := kernels.Env{Cache: cache, Kernel: k.Name, Progress: a.notice}
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
			s.entryOf[one.Name] = k
			stands[k.Name] = append(stands[k.Name], one.Name)
		}
		out = append(out, list...)
	}
	spec.Kernels = out
	nameRules(spec, stands)
	return nil
}

// notice says what users must know of a fetch that shows no progress.
func (a *app) notice(ev kernels.Event) {
	if ev.Notice {
		a.say("%s: %s", ev.Kernel, ev.Step)
	}
}

// nameRules lets a rule, a control or a waiver that names an entry speak of all
// its kernels.
func nameRules(spec *matrix.Spec, stands map[string][]string) {
	named := func(kernels *[]string) {
		var patterns []string
		for _, p := range *kernels {
			if names, ok := stands[p]; ok {
				patterns = append(patterns, names...)
			} else {
				patterns = append(patterns, p)
			}
		}
		*kernels = patterns
	}
	for _, rules := range [][]matrix.Rule{spec.Controls, spec.Expect} {
		for i := range rules {
			named(&rules[i].Kernel)
		}
	}
	for i := range spec.Waive {
		named(&spec.Waive[i].Kernel)
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
