package kernels

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(ociSource{})
	declareKind(entryKind("oci", func(pin *Pin) []string { return []string{hashStrings(unpackFormat, pin.Digest)} }))
}

// ociSource takes a kernel out of a container image: the only vmlinuz in it,
// modules under /lib/modules.
type ociSource struct{}

// ociConfig is the oci: part of a kernel.
type ociConfig struct {
	Image string `yaml:"image" kqual:"required"` // HOST/NAME:TAG or HOST/NAME@sha256:…
}

func (ociSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "oci",
		Doc:  "a kernel in a container image of a registry, by tag or, pinned, by digest",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c ociConfig
			problems := matrix.DecodeStrict(node, path, &c)
			if len(problems) == 0 {
				if _, err := name.ParseReference(c.Image, name.StrictValidation); err != nil {
					problems = append(problems, matrix.Problem{
						Line: lineOf(node, "image"), Path: path + ".image",
						What: fmt.Sprintf("%q is no full image name; write one such as registry.example.org/kernels:6.6 or …@sha256:…", c.Image),
					})
				}
			}
			return c, problems
		},
		Cost: func(any) string { return "download of an image" },
	}
}

// Resolve asks the registry which image a tag, or the digest of an index, stands
// for. An offline cache answers with what it was told last.
func (ociSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	c := config.(ociConfig)
	if env.Cache.Offline {
		digest, checked, ok := env.Cache.recall(c.key(env))
		if !ok {
			return nil, notInCache("which image " + c.Image + " is")
		}
		env.Progress(Event{Kernel: env.Kernel, Notice: true, End: true, Step: offlineStep(c.Image, checked)})
		return &Pin{Digest: digest}, nil
	}
	ref, err := name.ParseReference(c.Image, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	img, err := remoteImage(ctx, ref, env.target().arch)
	if err != nil {
		return nil, imageFailure(c, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, imageFailure(c, err)
	}
	return &Pin{Digest: digest.String()}, env.Cache.remember(ctx, c.key(env), digest.String())
}

// key is what the answer is remembered under: an image may be one per
// architecture.
func (c ociConfig) key(env Env) string {
	if arch := env.target().arch; arch != matrix.DefaultArch {
		return c.Image + " for " + arch
	}
	return c.Image
}

func remoteImage(ctx context.Context, ref name.Reference, arch string) (v1.Image, error) {
	return remote.Image(ref, remote.WithContext(ctx), remote.WithTransport(httpClient.Transport),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
}

func (s ociSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(ociConfig)
	pin, err := env.pin(ctx, s, config)
	if err != nil {
		return nil, err
	}
	ref, err := name.ParseReference(c.Image, name.StrictValidation)
	if err != nil {
		return nil, err
	}
	dir, err := env.Cache.Entry(ctx, "oci", hashStrings(unpackFormat, pin.Digest), func(tmp string) error {
		if env.Cache.Offline {
			return notInCache(c.Image)
		}
		img, err := remoteImage(ctx, ref.Context().Digest(pin.Digest), env.target().arch)
		if err != nil && env.locked() {
			return about("locked as "+pin.Digest, imageFailure(c, err))
		}
		if err != nil {
			return imageFailure(c, err)
		}
		step := Event{Kernel: env.Kernel, Step: "download " + c.Image}
		env.Progress(step)
		if err := extractImage(img, tmp); err != nil {
			return imageFailure(c, err)
		}
		step.End = true
		env.Progress(step)
		return arrange(tmp, c.Image)
	})
	if err != nil {
		return nil, err
	}
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: "oci", Details: map[string]string{
		"image": c.Image, "digest": pin.Digest,
	}})
}

// extractImage takes a kernel's files out of an image. The layers are stored
// first, each to its last byte and so verified: a reader of the archive alone
// stops before the digest is known.
func extractImage(img v1.Image, tmp string) error {
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	var total int64
	for _, l := range m.Layers {
		if total += l.Size; l.Size < 0 || total > maxDownload {
			return badPackage(fmt.Sprintf("the image has more than %d bytes", int64(maxDownload)))
		}
	}
	store := filepath.Join(tmp, "layout")
	defer os.RemoveAll(store)
	path, err := layout.Write(store, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendImage(img); err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	stored, err := path.Image(digest)
	if err != nil {
		return err
	}
	r := mutate.Extract(stored)
	defer r.Close()
	return extractTar(r, wantedInTree, tmp)
}

// imageFailure says what went wrong with an image.
func imageFailure(c ociConfig, err error) error {
	if refused(err) || errors.Is(err, context.Canceled) {
		return err
	}
	hint := "check the network and the registry, or name another image in the matrix"
	var t *transport.Error
	if errors.As(err, &t) && t.StatusCode == http.StatusNotFound {
		hint = "correct image: in the matrix; where it was locked, " + updateHint
	}
	return &matrix.Failure{Side: matrix.SideKernel, Reason: "get image " + c.Image + ": " + oneLine(err), Hint: hint}
}
