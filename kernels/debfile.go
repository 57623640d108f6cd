package kernels

import (
	"context"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() { register(debSource{}) }

// debSource takes a kernel out of .deb files that no archive lists: a vendor's
// kernel, a mainline build.
type debSource struct{}

// debConfig is the deb: part of a kernel: the packages that its files are
// spread over.
type debConfig struct {
	Packages []blob `yaml:"packages" kqual:"required"`
}

func (debSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "deb",
		Doc:  "a kernel in .deb files on this machine or at a URL, verified by their sha256",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c debConfig
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(config any) string {
			n := 0
			for _, b := range config.(debConfig).Packages {
				if b.URL != "" {
					n++
				}
			}
			if n == 0 {
				return "no download"
			}
			return fmt.Sprintf("download %d packages", n)
		},
	}
}

// Resolve has nothing to look up: the matrix names the files by their hashes.
func (debSource) Resolve(_ context.Context, _ Env, config any) (*Pin, error) {
	pin := &Pin{}
	for _, b := range config.(debConfig).Packages {
		pin.Files = append(pin.Files, b.pinned())
	}
	return pin, nil
}

func (debSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(debConfig)
	key := []string{unpackFormat}
	var names, places, sums []string
	for _, b := range c.Packages {
		key = append(key, b.SHA256)
		names, places, sums = append(names, b.base()), append(places, b.place()), append(sums, b.SHA256)
	}
	dir, err := env.Cache.Entry(ctx, "deb", hashStrings(key...), func(tmp string) error {
		for _, b := range c.Packages {
			path, err := b.get(ctx, env)
			if err != nil {
				return err
			}
			if err := ExtractDeb(path, wantedFile, tmp); err != nil {
				return about("unpack "+b.base(), err)
			}
		}
		return arrange(tmp, strings.Join(names, ", "))
	})
	if err != nil {
		return nil, err
	}
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: "deb", Details: map[string]string{
		"files": strings.Join(places, " "), "file_sha256": strings.Join(sums, " "),
	}})
}
