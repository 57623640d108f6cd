package cli

import (
	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
	"kqual/runner/guest"
)

// catalog is everything that is registered, for the matrix's parser.
func catalog() matrix.Catalog {
	sources := map[string]matrix.KernelSource{}
	for _, s := range kernels.Sources() {
		c := s.Catalog()
		sources[c.Name] = c
	}
	return matrix.Catalog{
		KernelSources: sources,
		EventSources:  guest.EventSources(),
		Checks:        guest.Checks(),
		Scenarios:     guest.Scenarios(),
		Filesystems:   guest.Filesystems(),
		Architectures: runner.Architectures(),
	}
}
