package kernels

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(buildSource{})
	declareKind(entryKind("build", func(pin *Pin) []string {
		if pin.Build == nil {
			return nil
		}
		return []string{pin.Build.Recipe}
	}))
}

// buildSource builds a kernel from source: a tree, a configuration on top of
// allnoconfig, and patches. A further set of patches on the same source and
// configuration costs an incremental make.
type buildSource struct{}

// buildConfig is the build: part of a kernel.
type buildConfig struct {
	Source  buildOrigin `yaml:"source" kqual:"required"`
	Config  []string    `yaml:"config" kqual:"required"` // fragments, later ones win
	Base    *buildBase  `yaml:"base"`
	Patches []string    `yaml:"patches"` // in the order of application, on top of the base's
	CC      string      `yaml:"cc"`      // the compiler, gcc-12 or clang; gcc where empty
}

// buildBase is what patches go on top of: reports tell their size without it.
type buildBase struct {
	Patches []string `yaml:"patches" kqual:"required"`
}

// chain are all patches, in the order of application; the first base of them are
// the base's.
func (c buildConfig) chain() (all []string, base int) {
	if c.Base == nil {
		return c.Patches, 0
	}
	return slices.Concat(c.Base.Patches, c.Patches), len(c.Base.Patches)
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
	wrong := func(what, at string, keys ...any) {
		problems = append(problems, matrix.Problem{Line: lineOf(node, keys...), Path: path + at, What: what})
	}
	origins := 0
	for _, set := range []bool{c.Source.Debian != nil, c.Source.Tarball != "", c.Source.Tree != "", c.Source.Git != nil} {
		if set {
			origins++
		}
	}
	switch {
	case origins != 1:
		wrong("name exactly one of debian, tarball, tree and git", ".source", "source")
	case c.Source.Tarball == "" && c.Source.SHA256 != "":
		wrong("belongs to a tarball, and there is none; remove it", ".source.sha256", "source", "sha256")
	case c.Source.Tarball != "" && !hexSHA256.MatchString(c.Source.SHA256):
		wrong("a tarball needs its sha256 (64 hex digits); sha256sum prints it", ".source.sha256", "source", "sha256")
	}
	if c.CC != "" && !compilerName.MatchString(c.CC) {
		wrong(fmt.Sprintf("%q is no program; write one such as gcc-12 or clang", c.CC), ".cc", "cc")
	}
	for i, name := range c.Config {
		if err := checkRecipe(configFiles, name); err != nil {
			wrong(err.Error(), fmt.Sprintf(".config[%d]", i), "config", i)
		}
	}
	for i, name := range c.Patches {
		if err := checkRecipe(patchFiles, name); err != nil {
			wrong(err.Error(), fmt.Sprintf(".patches[%d]", i), "patches", i)
		}
	}
	if c.Base != nil {
		for i, name := range c.Base.Patches {
			if err := checkRecipe(patchFiles, name); err != nil {
				wrong(err.Error(), fmt.Sprintf(".base.patches[%d]", i), "base", "patches", i)
			}
		}
	}
	return c, problems
}

// lineOf is the line of what stands below node at these keys (text) and
// indexes, as far as they lead.
func lineOf(node *yaml.Node, keys ...any) int {
	if node.Kind == yaml.AliasNode || len(keys) == 0 {
		return node.Line
	}
	switch at := keys[0].(type) {
	case string:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == at {
				if len(keys) == 1 {
					return node.Content[i].Line
				}
				return lineOf(node.Content[i+1], keys[1:]...)
			}
		}
	case int:
		if at < len(node.Content) {
			return lineOf(node.Content[at], keys[1:]...)
		}
	}
	return node.Line
}

// Raise these when trees or builds from before must not be used any more.
const (
	treeFormat  = "tree 1"
	buildFormat = "build 1"
)

// prepared is a build of which everything is known that decides its outcome;
// nothing was downloaded or unpacked for it.
type prepared struct {
	source  *origin
	options map[string]string // what the config fragments ask for
	places  map[string]string // where the fragments ask for it
	patches []recipe
	treeKey string
	pin     *Pin

	cc     string   // the compiler; empty for make's own choice
	ccache string   // what it calls itself; empty where there is none
	vars   []string // of the build's environment
}

func (c buildConfig) prepare(ctx context.Context, env Env) (*prepared, error) {
	if err := checkBuildTools(); err != nil {
		return nil, err
	}
	t := env.target()
	if err := t.checkCompiler(); err != nil {
		return nil, err
	}
	fragments, err := loadRecipes(configFiles, c.Config)
	if err != nil {
		return nil, err
	}
	p := &prepared{}
	if p.options, err = mergeFragments(fragments); err != nil {
		return nil, err
	}
	chain, _ := c.chain()
	if p.patches, err = loadRecipes(patchFiles, chain); err != nil {
		return nil, err
	}
	cc := t.compiler(cmp.Or(c.CC, defaultCompiler))
	compiler, err := compilerVersion(ctx, cc)
	if err != nil {
		return nil, err
	}
	p.places = optionPlaces(fragments)
	p.ccache, p.vars, err = useCcache(ctx, env.Cache, defaultCompiler, cc)
	if err != nil {
		return nil, err
	}
	p.vars = append(p.vars, t.vars()...)
	if p.source, err = c.Source.resolve(ctx, env); err != nil {
		return nil, err
	}
	chosen := compiler
	if c.CC != "" {
		chosen = c.CC + ": " + compiler
		p.cc = cc
	}
	if t.arch != matrix.DefaultArch {
		chosen += " for " + t.arch
	}
	p.treeKey = hashStrings(append([]string{treeFormat, p.source.hash, chosen}, bodies(fragments)...)...)
	recipe := hashStrings(append([]string{buildFormat, p.treeKey}, bodies(p.patches)...)...)
	p.pin = &Pin{
		Version: p.source.version, Suite: p.source.suite, Files: p.source.files, bases: p.source.bases,
		Build: &PinnedBuild{Recipe: recipe, Source: p.source.hash, Compiler: compiler},
	}
	env.Cache.note(treeKind, p.treeKey)
	return p, nil
}

func (buildSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	p, err := config.(buildConfig).prepare(ctx, env)
	if err != nil {
		return nil, err
	}
	return p.pin, nil
}

func (buildSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(buildConfig)
	p, err := c.prepare(ctx, env)
	if err != nil {
		return nil, err
	}
	src, made := p.source, p.pin.Build
	if env.locked() {
		if err := made.sameAs(env.Pin); err != nil {
			return nil, err
		}
	}
	chain, base := c.chain()
	dir, err := env.Cache.Entry(ctx, "build", made.Recipe, func(tmp string) error {
		if err := src.get(ctx); err != nil {
			return err
		}
		t := &tree{
			dir: filepath.Join(env.Cache.Dir(), treeKind, p.treeKey), env: env, source: src, options: p.options, places: p.places,
			cc: p.cc, vars: p.vars, ccache: p.ccache,
		}
		return t.use(ctx, func() error { return t.make(ctx, p.patches, localVersion(chain, made.Recipe), tmp) })
	})
	if err != nil {
		return nil, err
	}
	hashed := "source_sha256"
	if src.repository != "" {
		hashed = "commit"
	}
	details := map[string]string{
		"source": src.what, hashed: src.hash, "config": strings.Join(c.Config, " "),
		"compiler": made.Compiler, "recipe": made.Recipe,
	}
	if len(chain) > 0 {
		details[matrix.DetailPatches] = strings.Join(chain, " ")
	}
	img, err := buildImage(ctx, env, dir, details, src.version)
	if err != nil {
		return nil, err
	}
	for i, patch := range p.patches {
		size := patch.size()
		size.Base = i < base
		img.Provenance.Patches = append(img.Provenance.Patches, size)
	}
	return img, nil
}

// sameAs says in what way a build would be another one than that of a lock.
func (b *PinnedBuild) sameAs(pin *Pin) error {
	was := pin.Build
	switch {
	case was == nil:
		return notLocked(pin.lock + " has no build of this kernel")
	case b.Recipe == was.Recipe:
		return nil
	case b.Compiler != was.Compiler:
		return notLocked(fmt.Sprintf("%s has a build by another compiler: %s, here is %s", pin.lock, was.Compiler, b.Compiler))
	case b.Source != was.Source:
		return notLocked(fmt.Sprintf("%s has a build of another source: sha256 %.16s…, here is %.16s…", pin.lock, was.Source, b.Source))
	}
	return notLocked(pin.lock + " has a build with other config fragments or patches than these files hold now")
}

// releaseMark begins what a build adds to the release of its source.
const releaseMark = "-kqual-"

// localVersion ends the release of a variant, so that the host can tell by
// uname -r which one booted: -kqual-affected-1a2b3c4d. A release has at most 64
// characters.
func localVersion(patches []string, recipe string) string {
	name := "stock"
	if len(patches) > 0 {
		name = strings.TrimSuffix(filepath.Base(patches[len(patches)-1]), patchFiles.ext)
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return releaseMark + name[:min(len(name), 24)] + "-" + recipe[:8]
}

// buildImage is the image of a build in the cache. version is the source's; the
// kernel's own where that is empty.
func buildImage(ctx context.Context, env Env, dir string, details map[string]string, version string) (*Image, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", dir, err)
	}
	vmlinuz, config := filepath.Join(dir, builtImage), filepath.Join(dir, builtConfig)
	sum := m.Files[builtImage].SHA256
	if ccache, err := os.ReadFile(filepath.Join(dir, builtCcache)); err == nil {
		details["ccache"] = string(ccache)
	}
	img := &Image{
		Vmlinuz: vmlinuz, Config: config, Hashes: map[string]string{vmlinuz: sum},
		Provenance: matrix.Provenance{
			Source: "build", Version: version, SHA256: sum, Details: details,
		},
	}
	if err := img.describeConfig(env.Cache); err != nil {
		return nil, err
	}
	if err := addVmlinux(ctx, env, img); err != nil {
		return nil, err
	}
	img.Provenance.Version, _, _ = strings.Cut(img.Provenance.Version, releaseMark)
	return img, nil
}

// hashStrings is the sha256 of a list, in hex.
func hashStrings(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\x00%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
