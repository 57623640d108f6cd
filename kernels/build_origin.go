package kernels

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kqual/matrix"
)

// buildOrigin is where the source comes from; exactly one is set.
type buildOrigin struct {
	Debian  *DebianConfig `yaml:"debian"`  // a linux-source-… package
	Tarball string        `yaml:"tarball"` // path of a .tar, .tar.gz, .tar.xz, .tar.zst
	SHA256  string        `yaml:"sha256"`  // of the tarball, mandatory with it
	Tree    string        `yaml:"tree"`    // an unpacked tree; it is copied
	Git     *gitOrigin    `yaml:"git"`     // a commit of a repository
}

// origin is source that is ready to be unpacked.
type origin struct {
	what       string // for people: linux-source-5.10 5.10.223-1
	hash       string // sha256 of the package or the tarball, of the state of a tree; a commit's own
	version    string // empty where only the built kernel can tell
	tarball    string // exactly one of these is set
	deb        string
	tree       string
	repository string

	suite string       // of the archive that the package is from
	bases []string     // of the archives that have it
	files []PinnedFile // what has to be got; empty for a tree and a repository
	get   func(context.Context) error
}

// resolve names the source. get then makes it ready to be unpacked.
func (o buildOrigin) resolve(ctx context.Context, env Env) (*origin, error) {
	ready := func(context.Context) error { return nil }
	wrong := func(key string, err error) error {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: "build: " + key + ": " + err.Error(),
			Hint: "correct the path in the matrix; it starts at the working directory",
		}
	}
	switch {
	case o.Git != nil:
		src, err := o.Git.fetch(ctx, env)
		if err != nil {
			return nil, err
		}
		src.get = ready
		return src, nil
	case o.Debian != nil:
		pin := env.Pin
		if pin == nil {
			var err error
			if pin, err = o.Debian.resolvePackage(ctx, env); err != nil {
				return nil, err
			}
		}
		p := pin.packages()[0]
		src := &origin{what: p.Name + " " + p.Version, hash: p.SHA256, version: p.Version, suite: pin.Suite, bases: pin.bases, files: pin.Files}
		src.get = func(ctx context.Context) (err error) {
			src.deb, err = o.Debian.download(ctx, env, pin, p)
			return err
		}
		return src, nil
	case o.Tarball != "":
		path, err := filepath.Abs(o.Tarball)
		if err != nil {
			return nil, err
		}
		sum, err := HashFile(path)
		if err != nil {
			return nil, wrong("tarball", err)
		}
		if want := strings.ToLower(o.SHA256); sum != want {
			return nil, &matrix.Failure{
				Side: matrix.SideKernel, Reason: fmt.Sprintf("%s: wrong hash: sha256 %s, want %s", o.Tarball, sum, want),
				Hint: "get the tarball again, or correct sha256: in the matrix",
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, wrong("tarball", err)
		}
		return &origin{
			what: filepath.Base(path), hash: sum, tarball: path, get: ready,
			files: []PinnedFile{{Path: o.Tarball, Size: info.Size(), SHA256: sum}},
		}, nil
	}
	path, err := filepath.Abs(o.Tree)
	if err != nil {
		return nil, err
	}
	sum, err := hashTree(path)
	if err != nil {
		return nil, wrong("tree", err)
	}
	return &origin{what: path, hash: sum, tree: path, get: ready}, nil
}

// hashTree names the state of a tree without reading it: paths, modes, sizes
// and times of all files, and where links lead.
func hashTree(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "Makefile")); err != nil {
		return "", fmt.Errorf("no kernel tree: %w", err)
	}
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Dir(path) == dir && d.Name() == dotGit {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.Type().IsRegular():
			fmt.Fprintf(h, "%s\x00%s\x00%d\x00%d\n", path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s\x00-> %s\n", path, to)
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// dotGit is left out when a tree is copied: it can be gigabytes, and make
// would add its state to the release. In a worktree it is a file.
const dotGit = ".git"

// unpack puts the source into dst, which is made. run calls a program.
func (o *origin) unpack(dst string, run func(dir, program string, args ...string) error) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	tarball := o.tarball
	switch {
	case o.tree != "":
		entries, err := os.ReadDir(o.tree)
		if err != nil {
			return err
		}
		args := []string{"--archive", "--reflink=auto", "--target-directory=" + dst, "--"}
		for _, e := range entries {
			if e.Name() != dotGit {
				args = append(args, filepath.Join(o.tree, e.Name()))
			}
		}
		return run(dst, "cp", args...)
	case o.repository != "":
		// A commit's archive has no directory above its files.
		tarball = dst + ".tar"
		defer os.Remove(tarball)
		if err := run(dst, "git", "-C", o.repository, "archive", "--format=tar", "--output="+tarball, o.hash); err != nil {
			return err
		}
		return run(dst, "tar", "--extract", "--no-same-owner", "--file", tarball)
	case o.deb != "":
		tmp := dst + ".deb"
		defer os.RemoveAll(tmp)
		wanted := func(name string) bool {
			return strings.HasPrefix(name, "usr/src/linux-source-") && strings.Contains(name, ".tar")
		}
		if err := ExtractDeb(o.deb, wanted, tmp); err != nil {
			return err
		}
		found, _ := filepath.Glob(filepath.Join(tmp, "usr/src/linux-source-*.tar*"))
		if len(found) != 1 {
			return &matrix.Failure{
				Side: matrix.SideKernel, Reason: o.what + " holds no source tarball",
				Hint: "name a linux-source-… package with a version (linux-source-5.10, not linux-source)",
			}
		}
		tarball = found[0]
	}
	return run(dst, "tar", "--extract", "--strip-components=1", "--no-same-owner", "--file", tarball)
}
