package kernels

import (
	"context"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(debSource{})
	declareKind(entryKind("deb", (*Pin).unpacked))
}

// debSource takes a kernel out of .deb files that no archive lists: a vendor's
// kernel, a mainline build.
type debSource struct{}

func (debSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "deb",
		Doc:  "a kernel in .deb files on this machine or at a URL, verified by their sha256",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c packageFiles
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(config any) string { return config.(packageFiles).cost() },
	}
}

// Resolve has nothing to look up where the matrix names the files by their
// hashes.
func (debSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	return pinBlobs(ctx, env, config.(packageFiles).Packages)
}

func (debSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	return config.(packageFiles).fetch(ctx, env, "deb", ExtractDeb)
}
