package kernels

import (
	"context"
	"fmt"
	"maps"

	"kqual/matrix"
)

// Pin is one kernel exactly: what a source resolved its config to. A lock keeps
// pins. A source that finds one in its Env gets that and resolves nothing.
type Pin struct {
	Version string       `yaml:"version,omitempty"` // of the package or source
	Suite   string       `yaml:"suite,omitempty"`   // that the files' paths were listed in
	Files   []PinnedFile `yaml:"files,omitempty"`   // the one that was named first
	Digest  string       `yaml:"digest,omitempty"`  // of a container image: sha256:…
	Sum     string       `yaml:"sum,omitempty"`     // of a Go module: h1:…
	Build   *PinnedBuild `yaml:"build,omitempty"`
	Image   string       `yaml:"image_sha256,omitempty"` // of vmlinuz; known once it was got

	bases []string // archives that have the files, in order; nil for those of the config
	lock  string   // name of the lock that the pin is from
}

// PinnedFile is a file that a kernel is taken out of.
type PinnedFile struct {
	Name    string `yaml:"name,omitempty"`    // of a package
	Version string `yaml:"version,omitempty"` // of a package
	Path    string `yaml:"path,omitempty"`    // below an archive's base URL, or on this machine
	URL     string `yaml:"url,omitempty"`     // without a password
	Size    int64  `yaml:"size,omitempty"`    // bytes
	SHA256  string `yaml:"sha256" kqual:"required"`
}

// sums are the sha256 of the files.
func (p *Pin) sums() []string {
	out := make([]string, len(p.Files))
	for i, f := range p.Files {
		out[i] = f.SHA256
	}
	return out
}

// unpacked is the key of what was unpacked from all of the files.
func (p *Pin) unpacked() []string {
	return []string{hashStrings(append([]string{unpackFormat}, p.sums()...)...)}
}

// PinnedBuild is what decides the outcome of a build.
type PinnedBuild struct {
	Recipe   string `yaml:"recipe_sha256" kqual:"required"` // of all the others, config fragments and patches
	Source   string `yaml:"source_sha256" kqual:"required"`
	Compiler string `yaml:"compiler" kqual:"required"` // first line of gcc --version
	Config   string `yaml:"config_sha256,omitempty"`   // of the kernel's .config; known once it was built
}

// Resolve says what a kernel of the matrix stands for now, without getting it.
func Resolve(ctx context.Context, env Env, k matrix.Kernel) (*Pin, error) {
	s, err := sourceOf(k)
	if err != nil {
		return nil, err
	}
	return s.Resolve(ctx, env.of(k), k.Config)
}

// FetchPinned gets the image of a kernel that was resolved, and completes pin
// by what only the image tells.
func FetchPinned(ctx context.Context, env Env, k matrix.Kernel, pin *Pin) (*Image, error) {
	s, err := sourceOf(k)
	if err != nil {
		return nil, err
	}
	env = env.of(k)
	env.Pin = pin
	img, err := s.Fetch(ctx, env, k.Config)
	if err != nil {
		return nil, err
	}
	p := img.Provenance
	pin.Version, pin.Image, pin.Sum = p.Version, p.SHA256, p.Details["sum"]
	if pin.Build != nil {
		pin.Build.Config = p.Details[detailConfigSum]
	}
	for i, f := range pin.Files {
		if f.Size == 0 {
			pin.Files[i].Size = env.Cache.downloadSize(f.SHA256)
		}
	}
	return img, nil
}

// fetchLocked gets what a lock has of a kernel, and nothing else.
func fetchLocked(ctx context.Context, env Env, s Source, config any, pin *Pin) (*Image, error) {
	env.Pin = pin
	img, err := s.Fetch(ctx, env, config)
	if err != nil {
		return nil, err
	}
	if got := img.Provenance.SHA256; got != pin.Image {
		return nil, notLocked(fmt.Sprintf("%s: wrong hash: the image's sha256 is %.16s…, %s has %.16s…", img.Vmlinuz, got, pin.lock, pin.Image))
	}
	details := map[string]string{detailLock: pin.lock}
	maps.Copy(details, img.Provenance.Details)
	img.Provenance.Details = details
	return img, nil
}

// detailLock is the key in Provenance.Details of the lock that a kernel was
// taken from.
const detailLock = "lock"

// updateHint says how to leave what is locked.
const updateHint = "kqual kernels update --write locks what there is now"

// notLocked is a kernel that is not what the lock has.
func notLocked(why string) error {
	return &matrix.Failure{Side: matrix.SideKernel, Reason: why, Hint: "get the locked one back, or accept the change: " + updateHint}
}

// pin is what env brings, or else what s resolves config to.
func (env Env) pin(ctx context.Context, s Source, config any) (*Pin, error) {
	if env.Pin != nil {
		return env.Pin, nil
	}
	return s.Resolve(ctx, env, config)
}

// locked says whether what is got must be what a lock has.
func (env Env) locked() bool { return env.Pin != nil && env.Pin.lock != "" }
