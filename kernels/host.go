package kernels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() { register(hostSource{root: "/", release: runningRelease}) }

// hostSource takes the kernel that this machine runs, from where its
// distribution installed it.
type hostSource struct {
	root    string
	release func() (string, error)
}

// hostConfig is the host: part of a kernel: host: {}.
type hostConfig struct{}

func (hostSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "host",
		Doc:  "the kernel that this machine runs, from /boot and /lib/modules",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c hostConfig
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(any) string { return "no download" },
	}
}

func (s hostSource) Resolve(ctx context.Context, env Env, _ any) (*Pin, error) {
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	return fileSource{}.Resolve(ctx, env, c)
}

func (s hostSource) Fetch(ctx context.Context, env Env, _ any) (*Image, error) {
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	img, err := fileSource{}.Fetch(ctx, env, c)
	if err != nil {
		return nil, err
	}
	img.Provenance.Source = "host"
	return img, nil
}

// config is the running kernel as one in files.
func (s hostSource) config() (fileConfig, error) {
	release, err := s.release()
	if err != nil {
		return fileConfig{}, err
	}
	c := fileConfig{
		Vmlinuz: filepath.Join(s.root, "boot/vmlinuz-"+release),
		Modules: filepath.Join(s.root, "lib/modules", release),
		Config:  filepath.Join(s.root, "boot/config-"+release),
	}
	if f, err := os.Open(c.Vmlinuz); err != nil {
		return c, &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("no image of the running kernel: %v", err),
			Hint: "in a container the kernel is the host's; name a copy (file: {vmlinuz: …}), or make it readable (Ubuntu: chmod +r)",
		}
	} else {
		f.Close()
	}
	if !isDir(c.Modules) {
		c.Modules = ""
	}
	if _, err := os.Stat(c.Config); err != nil {
		c.Config = ""
	}
	return c, nil
}

// runningRelease is uname -r of this machine.
func runningRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
