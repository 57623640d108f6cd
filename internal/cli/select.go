package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

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

// plan reads the matrix and plans the selection. What the selection names in
// vain is said on standard error.
func (s *selector) plan(a *app) (*matrix.Spec, *matrix.Plan, error) {
	selection, err := matrix.ParseSelection(s.only, s.skip)
	if err != nil {
		return nil, nil, usage(err)
	}
	spec, err := s.load()
	if err != nil {
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
