package kernels

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(debianSource{})
	declareKind(entryKind("debian", (*Pin).unpacked))
}

// oldReleases is the archive that suites move to after the end of their
// support, with the layout of every mirror. KQUAL_DEBIAN_ARCHIVE overrides it.
const oldReleases = "http://archive.debian.org/debian"

// debianSource takes a kernel package from a Debian archive, verified from the
// archive's signature down to each file. Nothing is installed on the host.
type debianSource struct{}

// DebianConfig is the debian: part of a kernel or of a build's source. Its JSON
// form is what makes it another kernel: not where the packages come from.
type DebianConfig struct {
	Suite        string `yaml:"suite" kqual:"required"`
	Package      string `yaml:"package" kqual:"required"` // may have * and ?
	Version      string `yaml:"version"`                  // empty for the newest
	Versions     string `yaml:"versions"`                 // a range, as in ">=6.1 <6.2"
	Track        string `yaml:"track"`                    // latest: only the newest that matches; series: of each series
	Mirror       string `yaml:"mirror" json:"-"`          // base URL; empty for the host's own
	Snapshot     string `yaml:"snapshot" json:"-"`        // a moment of the snapshot archive: 20220115T000000Z
	Keyring      string `yaml:"keyring" json:"-"`         // empty for Debian's
	AllowExpired bool   `yaml:"allow_expired" json:"-"`   // accept a Release file past its Valid-Until
}

var (
	suiteName   = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*(/updates)?$`)
	moment      = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z$`)
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9.+*?-]+$`) // deb-control(5), with wildcards
)

// DecodeStrict lets a matrix fail before anything is fetched.
func (c *DebianConfig) DecodeStrict(node *yaml.Node, path string) matrix.Problems {
	type plain DebianConfig
	problems := matrix.DecodeStrict(node, path, (*plain)(c))
	if len(problems) > 0 {
		return problems
	}
	wrong := func(key, format string, args ...any) {
		line := node.Line
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				line = node.Content[i].Line
			}
		}
		problems = append(problems, matrix.Problem{Line: line, Path: path + "." + key, What: fmt.Sprintf(format, args...)})
	}
	if !suiteName.MatchString(c.Suite) {
		wrong("suite", "%q is no name of a suite; write one such as bookworm or bullseye-security", c.Suite)
	}
	if !packageName.MatchString(c.Package) {
		wrong("package", "%q is no name of a package; write one such as linux-image-cloud-amd64", c.Package)
	}
	if _, err := parseVersions(c.Versions); err != nil {
		wrong("versions", "%v", err)
	}
	if c.Version != "" && c.Versions != "" {
		wrong("versions", "version names one already; remove one of the two")
	}
	if c.Track != "" && c.Track != trackLatest && c.Track != trackSeries {
		wrong("track", "%q is unknown; write latest or series, or leave it out", c.Track)
	}
	if c.Mirror != "" && !strings.HasPrefix(c.Mirror, "http://") && !strings.HasPrefix(c.Mirror, "https://") {
		wrong("mirror", "%q is no http or https URL", c.Mirror)
	}
	if c.Snapshot != "" && !moment.MatchString(c.Snapshot) {
		wrong("snapshot", "%q is no moment; write one such as 20220115T000000Z", c.Snapshot)
	}
	if c.Snapshot != "" && c.Mirror != "" {
		wrong("snapshot", "mirror names one place already; remove one of the two")
	}
	return problems
}

func (c DebianConfig) keyring() string {
	if c.Keyring != "" {
		return c.Keyring
	}
	return debianKeyring
}

// bases lists the URLs to look for the suite at, in order: the mirror, then
// the archive of old releases.
func (c DebianConfig) bases() ([]string, error) {
	if c.Mirror != "" {
		return []string{strings.TrimRight(c.Mirror, "/")}, nil
	}
	if c.Snapshot != "" {
		return c.snapshotBases()
	}
	mirror := os.Getenv(mirrorVariable(c.Suite))
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

// snapshotVariable names the snapshot archive: the URL that moments stand below.
const snapshotVariable = "KQUAL_DEBIAN_SNAPSHOT"

// snapshotBases is bases for a moment of the snapshot archive. There is no
// default: few networks let everybody use one.
func (c DebianConfig) snapshotBases() ([]string, error) {
	base := strings.TrimRight(os.Getenv(snapshotVariable), "/")
	if base == "" {
		return nil, &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("suite %s of %s is in a snapshot archive, and %s names none", c.Suite, c.Snapshot, snapshotVariable),
			Hint: "set " + snapshotVariable + " to the URL that the moments stand below, such as https://snapshot.example.org/archive/debian",
		}
	}
	if isSecurity(c.Suite) {
		base += "-security"
	}
	return []string{base + "/" + c.Snapshot}, nil
}

func (debianSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "debian",
		Doc:  "a kernel package of a Debian suite, verified with the archive's keyring",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c DebianConfig
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(config any) string {
			if config.(DebianConfig).several() {
				return "download about 30 MB for each kernel"
			}
			return "download about 30 MB"
		},
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
		return nil, nil, unreachable(err)
	}
	// The index of an architecture lists the packages for all of them, too.
	list, err := fetchPackages(ctx, env, r, c.Suite, "main/binary-"+env.target().arch)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	return list, r, nil
}

// FetchDebianPackage returns the path of one verified .deb.
func FetchDebianPackage(ctx context.Context, env Env, c DebianConfig) (string, PackageInfo, error) {
	pin, err := c.resolvePackage(ctx, env)
	if err != nil {
		return "", PackageInfo{}, err
	}
	p := pin.packages()[0]
	path, err := c.download(ctx, env, pin, p)
	return path, p, err
}

// resolvePackage names the one package that c stands for, with nothing that it
// depends on.
func (c DebianConfig) resolvePackage(ctx context.Context, env Env) (*Pin, error) {
	list, r, err := c.packages(ctx, env)
	if err != nil {
		return nil, err
	}
	if c, err = c.single(list); err != nil {
		return nil, err
	}
	p, err := findPackage(list, c.Package, c.Version, c.Suite)
	if err != nil {
		return nil, err
	}
	return c.pin(r, p), nil
}

// pin names packages of r.
func (c DebianConfig) pin(r *release, parts ...PackageInfo) *Pin {
	// A suite on its way to the archive of old releases may still have its index
	// on the mirror and its packages there no more. The hash is what counts.
	pin := &Pin{Version: carrier(parts).Version, Suite: c.Suite, bases: slices.Compact(append([]string{r.base}, r.bases...))}
	for _, p := range parts {
		pin.Files = append(pin.Files, PinnedFile{Name: p.Name, Version: p.Version, Path: p.Filename, Size: p.Size, SHA256: p.SHA256})
	}
	return pin
}

// packages are the files of p as an index has them.
func (p *Pin) packages() []PackageInfo {
	list := make([]PackageInfo, len(p.Files))
	for i, f := range p.Files {
		list[i] = PackageInfo{Name: f.Name, Version: f.Version, Filename: f.Path, Size: f.Size, SHA256: f.SHA256}
	}
	return list
}

func (c DebianConfig) download(ctx context.Context, env Env, pin *Pin, p PackageInfo) (string, error) {
	bases := pin.bases
	if bases == nil {
		var err error
		if bases, err = c.bases(); err != nil {
			return "", err
		}
	}
	req := Request{SHA256: p.SHA256, Size: p.Size, Step: "download " + p.Name + " " + p.Version}
	var first error
	for _, base := range bases {
		req.URL = base + "/" + p.Filename
		path, err := env.Cache.Download(ctx, env, req)
		if env.locked() && refusedBytes(err) {
			return "", notAsLocked(env, p, err)
		}
		if err == nil || first == nil && !isMissing(err) {
			return path, unreachable(err)
		}
		if first == nil {
			first = err
		}
	}
	if env.locked() {
		return "", &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("%s has %s %s, and the archive has it no more: %v", env.Pin.lock, p.Name, p.Version, first),
			Hint: fmt.Sprintf("an archive of the past may have %s, sha256 %.16s…: name one (debian: {mirror: …, allow_expired: true}), or give it up: %s", p.Filename, p.SHA256, updateHint),
		}
	}
	return "", &matrix.Failure{
		Side: matrix.SideKernel, Reason: first.Error(),
		Hint: "the mirror lists the package and does not have it: try again later, or name another mirror (debian: {mirror: …})",
	}
}

// notAsLocked is a package that came and is not the one in the lock.
func notAsLocked(env Env, p PackageInfo, err error) error {
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("%s %s is not what %s has: %v", p.Name, p.Version, env.Pin.lock, err),
		Hint: "name another mirror or an archive of the past (debian: {mirror: …, allow_expired: true}), or accept the change: " + updateHint,
	}
}

func (debianSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	c := config.(DebianConfig)
	list, r, err := c.packages(ctx, env)
	if err != nil {
		return nil, err
	}
	if c, err = c.single(list); err != nil {
		return nil, err
	}
	parts, err := resolveKernel(list, c.Package, c.Version, c.Suite)
	if err != nil {
		return nil, err
	}
	return c.pin(r, parts...), nil
}

func (s debianSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(DebianConfig)
	pin, err := env.pin(ctx, s, config)
	if err != nil {
		return nil, err
	}
	parts := pin.packages()
	sums := []string{unpackFormat}
	for _, p := range parts {
		sums = append(sums, p.SHA256)
	}
	dir, err := env.Cache.Entry(ctx, "debian", hashStrings(sums...), func(tmp string) error {
		for _, p := range parts {
			path, err := c.download(ctx, env, pin, p)
			if err != nil {
				return err
			}
			env.Progress(Event{Kernel: env.Kernel, Step: "unpack " + p.Name + " " + p.Version})
			if err := ExtractDeb(path, wantedFile, tmp); err != nil {
				return about("unpack "+p.Name+" "+p.Version, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			env.Progress(Event{Kernel: env.Kernel, Step: "unpack " + p.Name + " " + p.Version, End: true})
		}
		return arrange(tmp, parts[0].Name+" "+parts[0].Version+" and what it depends on")
	})
	if err != nil {
		return nil, err
	}
	return arrangedImage(ctx, env, dir, debianProvenance(pin, c))
}

// unpackFormat is part of a kernel's key in the cache: raise it when wantedFile
// or arrange changes.
const unpackFormat = "debian 2"

// unwantedModules are the parts of a module tree that no guest of ours can have
// a use for, and that make up most of a kernel for real hardware. Anything else
// may be what a file system depends on (net/sunrpc, drivers/cdrom, lib, crypto).
var unwantedModules = []string{
	"sound/", "drivers/gpu/", "drivers/iio/", "drivers/infiniband/", "drivers/media/",
	"drivers/net/ethernet/", "drivers/net/wireless/", "drivers/staging/",
}

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
	case "vmlinuz", "config", "modules.alias", "modules.builtin", "modules.dep", "modules.order":
		return true
	}
	module, ok := strings.CutPrefix(file, "kernel/")
	if !ok || !moduleFile.MatchString(module) {
		return false
	}
	return !slices.ContainsFunc(unwantedModules, func(dir string) bool { return strings.HasPrefix(module, dir) })
}

// debianProvenance says which packages a kernel is from.
func debianProvenance(pin *Pin, c DebianConfig) matrix.Provenance {
	parts := pin.packages()
	// The package that holds the kernel has its version; the one that was named
	// may be a meta package with a version of its own.
	holder := carrier(parts)
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name + "=" + p.Version
	}
	details := map[string]string{
		"suite": c.Suite, "package": parts[0].Name, "packages": strings.Join(names, " "),
		"file": holder.Filename, "deb_sha256": holder.SHA256,
	}
	if len(pin.bases) > 0 { // what a lock has is the same from every mirror
		details["mirror"] = bareURL(pin.bases[0])
	}
	return matrix.Provenance{Source: "debian", Version: holder.Version, Details: details}
}

// bareURL is a URL without user and password.
func bareURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
