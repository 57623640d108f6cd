package kernels

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(urlSource{})
	declareKind(entryKind("url", func(pin *Pin) []string {
		var keys []string
		for _, f := range pin.Files {
			b := blob{Path: f.Path, URL: f.URL, SHA256: f.SHA256}
			keys = append(keys, b.unpacked())
		}
		return keys
	}))
}

// unpacked is the key of what was unpacked from a file: its name tells how.
func (b blob) unpacked() string { return hashStrings(unpackFormat, b.base(), b.SHA256) }

// urlSource takes a kernel from a URL: a bare image, or a tarball that holds
// the image and its modules.
type urlSource struct{}

func (urlSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "url",
		Doc:  "a kernel image, or a tarball with one and its modules, at a URL, verified by its sha256 or said to be unverified",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c blob
			problems := matrix.DecodeStrict(node, path, &c)
			if len(problems) == 0 && c.Path != "" {
				problems = append(problems, matrix.Problem{Line: lineOf(node, "path"), Path: path + ".path", What: "is for files on this machine; use url, or the source file"})
			}
			return c, problems
		},
		Cost: func(config any) string {
			if config.(blob).Unverified {
				return "download of unknown size, unverified"
			}
			return "download of unknown size"
		},
	}
}

// Resolve has nothing to look up where the matrix names the file by its hash.
func (urlSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	return pinBlobs(ctx, env, []blob{config.(blob)})
}

func (urlSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	files, err := resolveBlobs(ctx, env, []blob{config.(blob)})
	if err != nil {
		return nil, err
	}
	c := files[0]
	dir, err := env.Cache.Entry(ctx, "url", c.unpacked(), func(tmp string) error {
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
	details := map[string]string{"url": c.place(), "file_sha256": c.SHA256}
	maps.Copy(details, unverified(c))
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: "url", Details: details})
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
