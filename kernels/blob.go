package kernels

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

// blob is a file that the matrix names by its place and its hash. Its JSON form
// is what makes it another file: not its place.
type blob struct {
	Path   string `yaml:"path" json:"-"` // on this machine; relative ones start at the working directory
	URL    string `yaml:"url" json:"-"`  // http or https
	SHA256 string `yaml:"sha256"`
	// Unverified takes what the URL gives, in place of a hash; every report says
	// so.
	Unverified bool `yaml:"unverified"`
}

// DecodeStrict lets a matrix fail before anything is fetched.
func (b *blob) DecodeStrict(node *yaml.Node, path string) matrix.Problems {
	type plain blob
	problems := matrix.DecodeStrict(node, path, (*plain)(b))
	if len(problems) > 0 {
		return problems
	}
	wrong := func(key, what string) {
		problems = append(problems, matrix.Problem{Line: lineOf(node, key), Path: path + "." + key, What: what})
	}
	if (b.Path == "") == (b.URL == "") {
		wrong("url", "name exactly one of path and url")
	}
	if b.URL != "" && !strings.HasPrefix(b.URL, "http://") && !strings.HasPrefix(b.URL, "https://") {
		wrong("url", fmt.Sprintf("%q is no http or https URL", b.URL))
	}
	switch {
	case b.Unverified && b.URL == "":
		wrong("unverified", "is for URLs; give the sha256 of the file, sha256sum prints it")
	case b.Unverified && b.SHA256 != "":
		wrong("unverified", "there is a sha256 to verify with; remove one of the two")
	case b.Unverified:
	case b.SHA256 == "":
		problems = append(problems, matrix.Problem{
			Line: node.Line, Path: path + ".sha256", What: "is missing; sha256sum prints it (unverified: true does without, and every report says so)",
		})
	case !hexSHA256.MatchString(b.SHA256):
		wrong("sha256", "is no sha256 (64 hex digits, lower case); sha256sum prints it")
	}
	return problems
}

// base is the file's own name.
func (b blob) base() string {
	if b.Path != "" {
		return filepath.Base(b.Path)
	}
	return path.Base(strings.SplitN(b.URL, "?", 2)[0])
}

// place is where the file is, for provenance: without a password.
func (b blob) place() string {
	if b.Path != "" {
		return b.Path
	}
	return bareURL(b.URL)
}

// pinned is the file for a lock.
func (b blob) pinned() PinnedFile {
	if b.Path != "" {
		return PinnedFile{Path: b.Path, SHA256: b.SHA256}
	}
	return PinnedFile{URL: bareURL(b.URL), SHA256: b.SHA256}
}

// resolveBlobs are the files with the hash of what their URLs give now, where
// they have none: that is downloaded anew each time. A lock has those hashes.
func resolveBlobs(ctx context.Context, env Env, blobs []blob) ([]blob, error) {
	out := slices.Clone(blobs)
	for i, b := range out {
		switch {
		case !b.Unverified:
		case env.Pin != nil && i < len(env.Pin.Files):
			out[i].SHA256 = env.Pin.Files[i].SHA256
		default:
			sum, err := env.Cache.downloadUnverified(ctx, env, Request{URL: b.URL, Step: "download " + b.base() + ", unverified"})
			if err != nil {
				return nil, b.failure(err)
			}
			out[i].SHA256 = sum
		}
	}
	return out, nil
}

// pinBlobs is Resolve for a kernel in files.
func pinBlobs(ctx context.Context, env Env, blobs []blob) (*Pin, error) {
	blobs, err := resolveBlobs(ctx, env, blobs)
	if err != nil {
		return nil, err
	}
	pin := &Pin{}
	for _, b := range blobs {
		pin.Files = append(pin.Files, b.pinned())
	}
	return pin, nil
}

// failure puts a hint to an error of a download.
func (b blob) failure(err error) error {
	if isMissing(err) {
		return &matrix.Failure{Side: matrix.SideKernel, Reason: err.Error(), Hint: "the file has gone: correct url: in the matrix, or name a copy with path:"}
	}
	return unreachable(err)
}

// get returns the path of the file once its hash is right.
func (b blob) get(ctx context.Context, env Env) (string, error) {
	if b.URL != "" {
		path, err := env.Cache.Download(ctx, env, Request{URL: b.URL, SHA256: b.SHA256, Step: "download " + b.base()})
		return path, b.failure(err)
	}
	path, err := filepath.Abs(b.Path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", &matrix.Failure{Side: matrix.SideKernel, Reason: "no file " + b.Path, Hint: "correct the path in the matrix; it starts at the working directory"}
	}
	sum, err := HashFile(path)
	if err != nil {
		return "", err
	}
	if sum != b.SHA256 {
		return "", &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("%s: wrong hash: sha256 %.16s…, want %.16s…", b.Path, sum, b.SHA256),
			Hint: "get the file again, or correct sha256: in the matrix",
		}
	}
	return path, nil
}

// unverified says of which files nothing vouches for, as a detail of
// provenance; nil where all have a hash.
func unverified(blobs ...blob) map[string]string {
	var places []string
	for _, b := range blobs {
		if b.Unverified {
			places = append(places, b.place())
		}
	}
	if len(places) == 0 {
		return nil
	}
	return map[string]string{matrix.DetailUnverified: "taken without a sha256 from " + strings.Join(places, " ")}
}
