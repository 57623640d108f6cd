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

func init() { register(debianSource{}) }

// oldReleases is the archive that suites move to after the end of their
// support, with the layout of every mirror. KQUAL_DEBIAN_ARCHIVE overrides it.
const oldReleases = "http://archive.debian.org/debian"

// debianSource takes a kernel package from a Debian archive, verified from the
// archive's signature down to each file. Nothing is installed on the host.
type debianSource struct{}

// DebianConfig is the debian: part of a kernel or of a build's source.
type DebianConfig struct {
	Suite        string `yaml:"suite" kqual:"required"`
	Package      string `yaml:"package" kqual:"required"`
	Version      string `yaml:"version"`       // empty for the newest
	Mirror       string `yaml:"mirror"`        // base URL; empty for the host's own
	Arch         string `yaml:"arch"`          // amd64 where empty
	Keyring      string `yaml:"keyring"`       // empty for Debian's
	AllowExpired bool   `yaml:"allow_expired"` // accept a Release file past its Valid-Until
}

func (c DebianConfig) keyring() string {
	if c.Keyring != "" {
		return c.Keyring
	}
	return debianKeyring
}

func (c DebianConfig) arch() string {
	if c.Arch != "" {
		return c.Arch
	}
	return "amd64"
}

// bases lists the URLs to look for the suite at, in order: the mirror, then
// the archive of old releases.
func (c DebianConfig) bases() ([]string, error) {
	if c.Mirror != "" {
		return []string{strings.TrimRight(c.Mirror, "/")}, nil
	}
	env := "KQUAL_DEBIAN_MIRROR"
	if isSecurity(c.Suite) {
		env = "KQUAL_DEBIAN_SECURITY_MIRROR"
	}
	mirror := os.Getenv(env)
	if mirror == "" {
		var err error
		if mirror, err = hostMirror("/", c.Suite); err != nil {
			return nil, err
		}
	}
	old := os.Getenv("KQUAL_DEBIAN_ARCHIVE")
	if old == "" {
		old = oldReleases
	}
	if isSecurity(c.Suite) {
		old += "-security"
	}
	return []string{strings.TrimRight(mirror, "/"), strings.TrimRight(old, "/")}, nil
}

func (debianSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "debian",
		Doc:  "a kernel package of a Debian suite, verified with the archive's keyring",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c DebianConfig
			problems := matrix.DecodeStrict(node, path, &c)
			if a := c.arch(); len(problems) == 0 && a != "amd64" {
				problems = append(problems, matrix.Problem{
					Line: node.Line, Path: path + ".arch", What: fmt.Sprintf("cannot boot %q; use amd64", a),
				})
			}
			return c, problems
		},
		Cost: func(any) string { return "download about 30 MB" },
	}
}

// packages returns the kernel packages of c's suite, with the release they
// are in.
func (c DebianConfig) packages(ctx context.Context, env Env) ([]PackageInfo, *release, error) {
	bases, err := c.bases()
	if err != nil {
		return nil, nil, err
	}
	r, err := fetchRelease(ctx, env, c, bases)
	if err != nil {
		return nil, nil, err
	}
	// The index of an architecture lists the packages for all of them, too.
	list, err := fetchPackages(ctx, env, r, c.Suite, "main/binary-"+c.arch())
	if err != nil {
		return nil, nil, err
	}
	return list, r, nil
}

// FetchDebianPackage returns the path of one verified .deb.
func FetchDebianPackage(ctx context.Context, env Env, c DebianConfig) (string, PackageInfo, error) {
	list, r, err := c.packages(ctx, env)
	if err != nil {
		return "", PackageInfo{}, err
	}
	p, err := findPackage(list, c.Package, c.Version, c.Suite)
	if err != nil {
		return "", p, err
	}
	path, err := download(ctx, env, r, p)
	return path, p, err
}

func download(ctx context.Context, env Env, r *release, p PackageInfo) (string, error) {
	path, err := env.Cache.Download(ctx, env, Request{
		URL: r.base + "/" + p.Filename, SHA256: p.SHA256, Size: p.Size,
		Step: "download " + p.Name + " " + p.Version,
	})
	if isMissing(err) {
		return "", &matrix.Failure{
			Side: matrix.SideKernel, Reason: err.Error(),
			Hint: "the mirror lists the package and does not have it: try again later, or name another mirror (debian: {mirror: …})",
		}
	}
	return path, err
}

func (debianSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(DebianConfig)
	list, r, err := c.packages(ctx, env)
	if err != nil {
		return nil, err
	}
	parts, err := resolveKernel(list, c.Package, c.Version, c.Suite)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintln(h, p.SHA256)
	}
	dir, err := env.Cache.Entry(ctx, "debian", hex.EncodeToString(h.Sum(nil)), func(tmp string) error {
		for _, p := range parts {
			path, err := download(ctx, env, r, p)
			if err != nil {
				return err
			}
			env.Progress(Event{Kernel: env.Kernel, Step: "unpack " + p.Name + " " + p.Version})
			if err := ExtractDeb(path, wantedFile, tmp); err != nil {
				return fmt.Errorf("%s %s: %w", p.Name, p.Version, err)
			}
			env.Progress(Event{Kernel: env.Kernel, Step: "unpack " + p.Name + " " + p.Version, End: true})
		}
		return arrange(tmp, parts[0])
	})
	if err != nil {
		return nil, err
	}
	img, err := debianImage(dir, c, parts)
	if err != nil {
		return nil, err
	}
	return img, addVmlinux(ctx, env, img)
}

// wantedDrivers are the parts of drivers/ that a guest can have a use for.
var wantedDrivers = []string{"block/", "virtio/", "char/", "tty/"}

// wantedFile says whether a file of a kernel package is taken out of it.
func wantedFile(name string) bool {
	name = strings.TrimPrefix(name, "usr/")
	if base, ok := strings.CutPrefix(name, "boot/"); ok {
		return strings.HasPrefix(base, "vmlinuz-") || strings.HasPrefix(base, "config-")
	}
	rest, ok := strings.CutPrefix(name, "lib/modules/")
	if !ok {
		return false
	}
	_, file, _ := strings.Cut(rest, "/")
	switch file {
	case "vmlinuz", "config", "modules.builtin", "modules.order":
		return true
	}
	if !strings.Contains(filepath.Base(file), ".ko") {
		return false
	}
	driver, ok := strings.CutPrefix(file, "kernel/drivers/")
	if !ok {
		return !strings.HasPrefix(file, "kernel/sound/") && !strings.HasPrefix(file, "kernel/net/")
	}
	for _, d := range wantedDrivers {
		if strings.HasPrefix(driver, d) {
			return true
		}
	}
	return false
}

// arrange brings what was unpacked into one shape: vmlinuz, config, modules/
// and, where the kernel has it, vmlinux.
func arrange(tmp string, named PackageInfo) error {
	find := func(patterns ...string) string {
		for _, p := range patterns {
			if m, _ := filepath.Glob(filepath.Join(tmp, p)); len(m) > 0 {
				return m[0]
			}
		}
		return ""
	}
	vmlinuz := find("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")
	if vmlinuz == "" {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("%s %s and what it depends on hold no vmlinuz", named.Name, named.Version),
			Hint: "name a linux-image-… package",
		}
	}
	moves := map[string]string{"vmlinuz": vmlinuz}
	if config := find("boot/config-*", "usr/lib/modules/*/config", "lib/modules/*/config"); config != "" {
		moves["config"] = config
	}
	for to, from := range moves {
		if err := os.Rename(from, filepath.Join(tmp, to)); err != nil {
			return err
		}
	}
	if modules := find("usr/lib/modules/*", "lib/modules/*"); modules != "" {
		if err := os.Rename(modules, filepath.Join(tmp, "modules")); err != nil {
			return err
		}
	}
	for _, d := range []string{"boot", "usr", "lib"} {
		if err := os.RemoveAll(filepath.Join(tmp, d)); err != nil {
			return err
		}
	}
	return nil
}

func debianImage(dir string, c DebianConfig, parts []PackageInfo) (*Image, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	vmlinuz := filepath.Join(dir, "vmlinuz")
	img := &Image{Vmlinuz: vmlinuz, Hashes: map[string]string{vmlinuz: m.Files["vmlinuz"].SHA256}}
	if _, ok := m.Files["config"]; ok {
		img.Config = filepath.Join(dir, "config")
	}
	if modules := filepath.Join(dir, "modules"); isDir(modules) {
		img.Modules = modules
	}
	// The package that holds the kernel has its version; the one that was named
	// may be a meta package with a version of its own.
	last := parts[len(parts)-1]
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name + "=" + p.Version
	}
	img.Provenance = matrix.Provenance{
		Source: "debian", Version: last.Version, Arch: c.arch(), SHA256: m.Files["vmlinuz"].SHA256,
		Config: readKconfig(img.Config),
		Details: map[string]string{
			"suite": c.Suite, "packages": strings.Join(names, " "), "file": last.Filename, "deb_sha256": last.SHA256,
		},
	}
	return img, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
