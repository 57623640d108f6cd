package guest

import (
	"context"
	"fmt"

	"kqual/matrix"
)

var (
	eventSources = map[string]eventSource{}
	checks       = map[string]check{}
	scenarios    = map[string]scenario{}
	filesystems  = map[string]Filesystem{}
)

// Filesystem is a place where names die.
type Filesystem struct {
	matrix.Filesystem
	// Modules are the kernel modules it needs where they are not built in.
	Modules []string
	// Type is the name the kernel knows it by (/proc/filesystems).
	Type string
	// ImageSize is the size of its disk image in bytes; 0 for those without a disk.
	ImageSize int64
	// MakeImage formats the file at path, on the host.
	MakeImage func(ctx context.Context, path string) error
	// scenarios replace the registered ones of the same names here, for
	// filesystems whose names come and go in ways of their own. They are the
	// Scenarios of the catalog, too.
	scenarios map[string]scenario
	// names is where below the mount point names can come and go, for
	// filesystems that let nobody make a directory; "" where that is anywhere.
	names string
	// noWitness says why the order witness cannot speak here; "" where it can.
	noWitness string
	// Mount mounts it on dir, in the guest. device is empty for those without a disk.
	Mount func(device, dir string) error
}

// EventSources returns what the matrix parser needs to know of the registered
// event sources.
func EventSources() map[string]matrix.EventSource {
	return catalog(eventSources, func(s eventSource) matrix.EventSource { return s.catalog() })
}

// Checks returns what the matrix parser needs to know of the registered checks.
func Checks() map[string]matrix.Check {
	return catalog(checks, func(c check) matrix.Check { return c.Check })
}

// Scenarios returns what the matrix parser needs to know of the registered
// scenarios.
func Scenarios() map[string]matrix.Scenario {
	return catalog(scenarios, func(s scenario) matrix.Scenario { return s.Scenario })
}

// Filesystems returns what the matrix parser needs to know of the registered
// filesystems.
func Filesystems() map[string]matrix.Filesystem {
	return catalog(filesystems, func(f Filesystem) matrix.Filesystem { return f.Filesystem })
}

// LookupFilesystem returns the registered filesystem of that name.
func LookupFilesystem(name string) (Filesystem, error) {
	f, ok := filesystems[name]
	if !ok {
		return Filesystem{}, fmt.Errorf("no filesystem named %q", name)
	}
	return f, nil
}

// scenarioOn returns the scenario of that name as it runs on a filesystem: the
// filesystem's own one where it brings it, else the registered one.
func scenarioOn(filesystem, name string) scenario {
	if sc, ok := filesystems[filesystem].scenarios[name]; ok {
		return sc
	}
	return scenarios[name]
}

func catalog[E, C any](registry map[string]E, describe func(E) C) map[string]C {
	out := make(map[string]C, len(registry))
	for name, e := range registry {
		out[name] = describe(e)
	}
	return out
}
