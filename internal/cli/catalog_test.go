package cli

import (
	"slices"
	"testing"

	"kqual/kernels"
	"kqual/runner"
)

// What can boot can be got, and the other way round.
func TestKernelsAndMachinesHaveTheSameArchitectures(t *testing.T) {
	if a, b := kernels.Architectures(), runner.Architectures(); !slices.Equal(a, b) || !slices.Equal(catalog().Architectures, a) {
		t.Errorf("kernels are for %v, machines are %v, the matrix takes %v", a, b, catalog().Architectures)
	}
}
