package kernels

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"kqual/matrix"
)

// Image is a kernel that is ready to boot, with every path inside the cache
// or where the user keeps it.
type Image struct {
	Vmlinuz    string // the image as it came: a bzImage, an arm64 Image
	Vmlinux    string // what is packed in it, if QEMU enters that directly: an ELF with a PVH entry note, an arm64 Image; empty where Vmlinuz boots
	Modules    string // directory with modules.dep and the modules; empty for a monolithic kernel
	Config     string // the kernel's .config; empty if unknown
	Release    string // what uname -r must say; empty if unknown
	Provenance matrix.Provenance
	// Hashes are the sha256 (hex) of Vmlinuz and Vmlinux by path, as they were
	// when the image was made; Verify compares.
	Hashes map[string]string
}

// Event tells how a fetch or build goes on.
type Event struct {
	Kernel string // name in the matrix
	Step   string // "download linux-image-6.1…", "build v5.10-affected"
	Done   int64  // bytes so far
	Total  int64  // bytes in all; 0 where unknown
	End    bool   // the step is over
	Notice bool   // no step: something that users must know
}

// Env is what a source works with.
type Env struct {
	Cache    *Cache
	Kernel   string      // name in the matrix, for events
	Arch     string      // what the kernel is for; amd64 where empty
	Progress func(Event) // may be called from any goroutine; never nil
	Pin      *Pin        // what to get; nil for what the config stands for now
}

// Source is one kind of origin. Its name is the key in the matrix.
type Source interface {
	// Catalog describes the source to the matrix parser.
	Catalog() matrix.KernelSource
	// Resolve says what a config that Catalog().Decode returned stands for now,
	// without getting it.
	Resolve(ctx context.Context, env Env, config any) (*Pin, error)
	// Fetch returns the image that env pins, or else the one that Resolve names. It
	// reuses what the cache has and leaves nothing behind on failure. An error
	// may be a *matrix.Failure, which names a side and a hint.
	Fetch(ctx context.Context, env Env, config any) (*Image, error)
}

var sources = map[string]Source{}

func register(s Source) { sources[s.Catalog().Name] = s }

// Sources lists the registered sources by name.
func Sources() []Source {
	names := make([]string, 0, len(sources))
	for name := range sources {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]Source, len(names))
	for i, name := range names {
		out[i] = sources[name]
	}
	return out
}

func sourceOf(k matrix.Kernel) (Source, error) {
	s, ok := sources[k.Source]
	if !ok {
		return nil, fmt.Errorf("kernel %s: no source named %q", k.Name, k.Source)
	}
	return s, nil
}

// Fetch gets the image of one kernel of the matrix: the locked one, where there
// is a lock.
func Fetch(ctx context.Context, env Env, k matrix.Kernel) (*Image, error) {
	s, err := sourceOf(k)
	if err != nil {
		return nil, err
	}
	env = env.of(k)
	switch pin := k.Pin.(type) {
	case *Pin:
		return fetchLocked(ctx, env, s, k.Config, pin)
	case *matrix.Failure:
		return nil, pin
	}
	return s.Fetch(ctx, env, k.Config)
}

// about puts what an error is about in front of it. A *matrix.Failure stays
// one, with the words in its reason, because that is all that users see of it.
func about(what string, err error) error {
	var f *matrix.Failure
	if errors.As(err, &f) {
		g := *f
		g.Reason = what + ": " + f.Reason
		return &g
	}
	return fmt.Errorf("%s: %w", what, err)
}
