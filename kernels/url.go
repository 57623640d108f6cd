package kernels

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() { register(urlSource{}) }

// urlSource takes a kernel from a URL: a bare image, or a tarball that holds
// the image and its modules.
type urlSource struct{}

func (urlSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "url",
		Doc:  "a kernel image, or a tarball with one and its modules, at a URL, verified by its sha256",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c blob
			problems := matrix.DecodeStrict(node, path, &c)
			if len(problems) == 0 && c.Path != "" {
				problems = append(problems, matrix.Problem{Line: lineOf(node, "path"), Path: path + ".path", What: "is for files on this machine; use url, or the source file"})
			}
			return c, problems
		},
		Cost: func(any) string { return "download of unknown size" },
	}
}

func (urlSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(blob)
	dir, err := env.Cache.Entry(ctx, "url", hashStrings(unpackFormat, c.base(), c.SHA256), func(tmp string) error {
		path, err := c.get(ctx, env)
		if err != nil {
			return err
		}
		if !strings.Contains(c.base(), ".tar") && !strings.HasSuffix(c.base(), ".tgz") {
			return copyFile(path, filepath.Join(tmp, "vmlinuz"))
		}
		if err := extractTarball(path, tmp); err != nil {
			return about("unpack "+c.base(), err)
		}
		return arrange(tmp, c.base())
	})
	if err != nil {
		return nil, err
	}
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: "url", Details: map[string]string{
		"url": c.place(), "file_sha256": c.SHA256,
	}})
}

// extractTarball takes a kernel's files out of a .tar, .tar.gz, .tar.xz or
// .tar.zst; what it is packed with is told by its first bytes.
func extractTarball(path, dst string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, done, err := decompressed(f)
	if err != nil {
		return err
	}
	defer done()
	return extractTar(r, wantedInTree, dst)
}
