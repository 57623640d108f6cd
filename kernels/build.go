package kernels

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() { register(buildSource{}) }

// buildSource builds a kernel from source: a tree, a configuration on top of
// allnoconfig, and patches. A further set of patches on the same source and
// configuration costs an incremental make.
type buildSource struct{}

// buildConfig is the build: part of a kernel.
type buildConfig struct {
	Source  buildOrigin `yaml:"source" kqual:"required"`
	Config  []string    `yaml:"config" kqual:"required"` // fragments, later ones win
	Patches []string    `yaml:"patches"`                 // in the order of application
}

// buildOrigin is where the source comes from; exactly one is set.
type buildOrigin struct {
	Debian  *DebianConfig `yaml:"debian"`  // a linux-source-… package
	Tarball string        `yaml:"tarball"` // path of a .tar, .tar.gz, .tar.xz, .tar.zst
	SHA256  string        `yaml:"sha256"`  // of the tarball, mandatory with it
	Tree    string        `yaml:"tree"`    // an unpacked tree; it is copied
}

func (buildSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name:   "build",
		Doc:    "a kernel built here from source, with config fragments and patches",
		Decode: decodeBuild,
		Cost:   func(any) string { return "build: about 4 minutes, 10 s for a further variant" },
	}
}

func decodeBuild(node *yaml.Node, path string) (any, matrix.Problems) {
	var c buildConfig
	problems := matrix.DecodeStrict(node, path, &c)
	if len(problems) > 0 {
		return c, problems
	}
	wrong := func(at, what string) {
		problems = append(problems, matrix.Problem{Line: node.Line, Path: path + at, What: what})
	}
	origins := 0
	for _, set := range []bool{c.Source.Debian != nil, c.Source.Tarball != "", c.Source.Tree != ""} {
		if set {
			origins++
		}
	}
	switch {
	case origins != 1:
		wrong(".source", "name exactly one of debian, tarball and tree")
	case c.Source.Tarball != "" && !hexSHA256.MatchString(c.Source.SHA256):
		wrong(".source.sha256", "a tarball needs its sha256 (64 hex digits); sha256sum prints it")
	}
	for i, name := range c.Config {
		if err := checkRecipe(configFiles, name); err != nil {
			wrong(fmt.Sprintf(".config[%d]", i), err.Error())
		}
	}
	for i, name := range c.Patches {
		if err := checkRecipe(patchFiles, name); err != nil {
			wrong(fmt.Sprintf(".patches[%d]", i), err.Error())
		}
	}
	return c, problems
}

func (buildSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(buildConfig)
	if err := checkBuildTools(); err != nil {
		return nil, err
	}
	src, err := c.Source.fetch(ctx, env)
	if err != nil {
		return nil, err
	}
	fragments, err := loadRecipes(configFiles, c.Config)
	if err != nil {
		return nil, err
	}
	patches, err := loadRecipes(patchFiles, c.Patches)
	if err != nil {
		return nil, err
	}
	compiler, err := compilerVersion(ctx)
	if err != nil {
		return nil, err
	}
	treeKey := hashStrings(append([]string{"tree 1", src.hash, compiler}, bodies(fragments)...)...)
	recipe := hashStrings(append([]string{"build 1", treeKey}, bodies(patches)...)...)
	dir, err := env.Cache.Entry(ctx, "build", recipe, func(tmp string) error {
		t := &tree{dir: filepath.Join(env.Cache.Dir(), "tree", treeKey), env: env, source: src}
		unlock, err := env.Cache.Lock(ctx, "tree-"+treeKey)
		if err != nil {
			return err
		}
		defer unlock()
		if err := t.prepare(ctx, fragments); err != nil {
			return err
		}
		if err := t.patch(ctx, patches); err != nil {
			return err
		}
		return t.build(ctx, localVersion(c.Patches, recipe), tmp)
	})
	if err != nil {
		return nil, err
	}
	img, err := buildImage(dir)
	if err != nil {
		return nil, err
	}
	p := &img.Provenance
	p.Version = src.version
	p.Details = map[string]string{
		"source": src.what, "source_sha256": src.hash, "config": strings.Join(c.Config, " "),
		"patches": strings.Join(c.Patches, " "), "compiler": compiler, "recipe": recipe,
	}
	return img, addVmlinux(ctx, env, img)
}

// localVersion ends the release of a variant, so that the host can tell by
// uname -r which one booted: -kqual-affected-1a2b3c4d. A release has at most 64
// characters.
func localVersion(patches []string, recipe string) string {
	name := "stock"
	if len(patches) > 0 {
		name = strings.TrimSuffix(filepath.Base(patches[len(patches)-1]), ".patch")
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return "-kqual-" + name[:min(len(name), 24)] + "-" + recipe[:8]
}

func buildImage(dir string) (*Image, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	vmlinuz, config := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "config")
	return &Image{
		Vmlinuz: vmlinuz, Config: config,
		Hashes: map[string]string{vmlinuz: m.Files["vmlinuz"].SHA256},
		Provenance: matrix.Provenance{
			Source: "build", Arch: "amd64", SHA256: m.Files["vmlinuz"].SHA256, Config: readKconfig(config),
		},
	}, nil
}

// origin is source that is ready to be unpacked.
type origin struct {
	what    string // for people: linux-source-5.10 5.10.223-1
	hash    string // sha256 of the tarball; of the path for a tree
	version string
	tarball string // exactly one of tarball, deb and tree is set
	deb     string
	tree    string
}

func (o buildOrigin) fetch(ctx context.Context, env Env) (*origin, error) {
	switch {
	case o.Debian != nil:
		path, p, err := FetchDebianPackage(ctx, env, *o.Debian)
		if err != nil {
			return nil, err
		}
		return &origin{what: p.Name + " " + p.Version, hash: p.SHA256, version: p.Version, deb: path}, nil
	case o.Tarball != "":
		sum, err := HashFile(o.Tarball)
		if err != nil {
			return nil, &matrix.Failure{Side: matrix.SideKernel, Reason: err.Error(), Hint: "correct tarball: in the matrix"}
		}
		if sum != o.SHA256 {
			return nil, &matrix.Failure{
				Side: matrix.SideKernel, Reason: fmt.Sprintf("%s: wrong hash: sha256 %s, want %s", o.Tarball, sum, o.SHA256),
				Hint: "get the tarball again, or correct sha256: in the matrix",
			}
		}
		return &origin{what: filepath.Base(o.Tarball), hash: sum, tarball: o.Tarball}, nil
	}
	abs, err := filepath.Abs(o.Tree)
	if err != nil {
		return nil, err
	}
	sum, err := hashTree(abs)
	if err != nil {
		return nil, &matrix.Failure{Side: matrix.SideKernel, Reason: err.Error(), Hint: "correct tree: in the matrix"}
	}
	return &origin{what: abs, hash: sum, tree: abs}, nil
}

// hashTree names the state of a tree without reading it: paths, sizes and
// times of all files.
func hashTree(dir string) (string, error) {
	h := sha256.New()
	if _, err := os.Stat(filepath.Join(dir, "Makefile")); err != nil {
		return "", fmt.Errorf("no kernel tree: %w", err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			fmt.Fprintf(h, "%s\x00%d\x00%d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// hashStrings is the sha256 of a list, in hex.
func hashStrings(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\x00%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
