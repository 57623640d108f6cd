package kernels

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() { register(fileSource{}) }

// fileSource takes a kernel from where the user keeps it.
type fileSource struct{}

// fileConfig is the file: part of a kernel. Relative paths start at the
// working directory.
type fileConfig struct {
	Vmlinuz string `yaml:"vmlinuz" kqual:"required"`
	Modules string `yaml:"modules"` // lib/modules/RELEASE
	Config  string `yaml:"config"`
}

func (fileSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "file",
		Doc:  "a kernel image (bzImage, arm64 Image) on this machine, with its modules and config",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c fileConfig
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(any) string { return "no download" },
	}
}

func (fileSource) Resolve(_ context.Context, _ Env, config any) (*Pin, error) {
	c := config.(fileConfig)
	path, err := userPath("vmlinuz", c.Vmlinuz, false)
	if err != nil {
		return nil, err
	}
	sum, err := HashFile(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &Pin{Files: []PinnedFile{{Path: c.Vmlinuz, Size: info.Size(), SHA256: sum}}}, nil
}

func (fileSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(fileConfig)
	vmlinuz, err := userPath("vmlinuz", c.Vmlinuz, false)
	if err != nil {
		return nil, err
	}
	modules, err := userPath("modules", c.Modules, true)
	if err != nil {
		return nil, err
	}
	kconfig, err := userPath("config", c.Config, false)
	if err != nil {
		return nil, err
	}
	sum, err := HashFile(vmlinuz)
	if err != nil {
		return nil, err
	}
	img := &Image{
		Vmlinuz: vmlinuz, Modules: modules, Config: kconfig,
		Hashes: map[string]string{vmlinuz: sum},
		Provenance: matrix.Provenance{
			Source: "file", SHA256: sum,
			Details: map[string]string{"path": vmlinuz},
		},
	}
	if err := img.describeConfig(env.Cache); err != nil {
		return nil, err
	}
	return img, addVmlinux(ctx, env, img)
}

// userPath makes a path of the matrix absolute and checks that it is a file, or
// a directory. An empty path stays empty.
func userPath(key, path string, dir bool) (string, error) {
	if path == "" {
		return "", nil
	}
	wrong := func(why string) error {
		return &matrix.Failure{Side: matrix.SideKernel, Reason: "file: " + key + ": " + why, Hint: "correct the path in the matrix; it starts at the working directory"}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", wrong(err.Error())
	case dir && !info.IsDir():
		return "", wrong(path + " is no directory")
	case !dir && !info.Mode().IsRegular():
		return "", wrong(path + " is no file")
	}
	return filepath.Abs(path)
}

// vmlinuxKind has uncompressed kernels, by the sha256 of the compressed one.
const vmlinuxKind = "vmlinux"

func init() {
	declareKind(entryKind(vmlinuxKind, func(pin *Pin) []string { return []string{pin.Image} }))
}

// addVmlinux puts the uncompressed kernel of img into the cache, keyed by the
// image's hash, and fills in the architecture, and the release and the version
// that the image carries. Where there is no such kernel the image itself boots.
func addVmlinux(ctx context.Context, env Env, img *Image) error {
	data, err := os.ReadFile(img.Vmlinuz)
	if err != nil {
		return err
	}
	t := env.target()
	h, err := t.inspect(img.Vmlinuz, data)
	if err != nil {
		return err
	}
	img.Provenance.Arch = t.arch
	if h.write != nil {
		dir, err := env.Cache.Entry(ctx, vmlinuxKind, img.Provenance.SHA256, func(tmp string) error {
			err := h.write(h.payload, filepath.Join(tmp, "vmlinux"))
			if errors.Is(err, errNoPVH) {
				return nil // remembered: the entry stays empty
			}
			return err
		})
		if err != nil {
			return about(img.Vmlinuz, err)
		}
		if err := img.useVmlinux(dir); err != nil {
			return err
		}
	}
	if h.release == "" && img.Vmlinux != "" {
		kernel, err := os.ReadFile(img.Vmlinux)
		if err != nil {
			return err
		}
		h.release = releaseInside(kernel)
	}
	if img.Release == "" {
		img.Release = h.release
	}
	if img.Provenance.Version == "" {
		img.Provenance.Version = h.release
	}
	return nil
}

// useVmlinux lets img boot the uncompressed kernel in a cache entry, if there
// is one.
func (img *Image) useVmlinux(dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return fmt.Errorf("read the manifest of %s: %w", dir, err)
	}
	if s, ok := m.Files["vmlinux"]; ok {
		img.Vmlinux = filepath.Join(dir, "vmlinux")
		img.Hashes[img.Vmlinux] = s.SHA256
	}
	return nil
}
