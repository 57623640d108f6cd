package kernels

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/xi2/xz"
	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

// PackageInfo is one package of a suite's index.
type PackageInfo struct {
	Name     string     `json:"name"`
	Version  string     `json:"version"`
	Filename string     `json:"filename"` // below the archive's base URL
	Size     int64      `json:"size"`     // bytes
	SHA256   string     `json:"sha256"`
	Depends  [][]string `json:"depends,omitempty"` // names; each needs one of its alternatives
}

// kernelPackages picks out of an index what can matter to a kernel.
var kernelPackages = []byte("Package: linux-")

// indexFormat is part of an index's key in the cache: raise it when PackageInfo
// or parsePackages changes.
const indexFormat = "2-"

// indexKind has the kernels of package indexes, by the sha256 of the index.
const indexKind = "index"

func init() { declareKind(entryKind(indexKind, nil)) }

// maxIndex bounds an unpacked package index, in bytes; they have about 50 MB.
const maxIndex = 1 << 30

// fetchPackages returns the kernel packages of one index of a suite, verified
// by the hash in the Release file. They are kept by that hash, so an index is
// read once.
func fetchPackages(ctx context.Context, env Env, r *release, suite, index string) ([]PackageInfo, error) {
	name := index + "/Packages.xz"
	file, ok := r.files[name]
	if !ok {
		name = index + "/Packages.gz"
		if file, ok = r.files[name]; !ok {
			return nil, fmt.Errorf("suite %s has no index %s", suite, index)
		}
	}
	const kept = "linux.json"
	dir, err := env.Cache.Entry(ctx, indexKind, indexFormat+file.sha256, func(tmp string) error {
		req := Request{SHA256: file.sha256, Size: file.size, Step: "download index of " + suite}
		path := filepath.Join(tmp, "Packages")
		if err := fetchIndex(ctx, env, r, suite, name, req, path); err != nil {
			return err
		}
		defer os.Remove(path)
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var unpacked io.Reader
		if strings.HasSuffix(name, ".xz") {
			unpacked, err = xz.NewReader(bufio.NewReader(f), 0)
		} else {
			unpacked, err = gzip.NewReader(f)
		}
		if err != nil {
			return fmt.Errorf("unpack %s of %s: %w", name, suite, err)
		}
		packages, err := parsePackages(io.LimitReader(unpacked, maxIndex))
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", name, suite, err)
		}
		data, err := json.Marshal(packages)
		if err != nil {
			return err
		}
		return atomicfile.Write(filepath.Join(tmp, kept), data)
	})
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, kept))
	if err != nil {
		return nil, err
	}
	var packages []PackageInfo
	return packages, json.Unmarshal(data, &packages)
}

// fetchIndex gets an index by its hash where the archive offers that: then a
// mirror that is being updated still has the index that InRelease speaks of.
func fetchIndex(ctx context.Context, env Env, r *release, suite, name string, req Request, dst string) error {
	named := r.base + "/dists/" + suite + "/" + name
	urls := []string{named}
	if r.byHash {
		urls = []string{named[:strings.LastIndexByte(named, '/')] + "/by-hash/SHA256/" + req.SHA256, named}
	}
	var err error
	for _, req.URL = range urls {
		if _, err = transferTo(ctx, env, req, dst); !isMissing(err) {
			return err
		}
	}
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: err.Error(),
		Hint: "the mirror is being updated: try again later, or name another mirror (debian: {mirror: …})",
	}
}

// parsePackages reads the kernel packages of a Packages file, stanza by
// stanza; the others are passed over unparsed.
func parsePackages(r io.Reader) ([]PackageInfo, error) {
	var packages []PackageInfo
	s := bufio.NewScanner(r)
	s.Buffer(nil, 4<<20)
	s.Split(splitStanzas)
	for s.Scan() {
		stanza := s.Bytes()
		if !bytes.HasPrefix(stanza, kernelPackages) {
			continue
		}
		p, err := parseStanza(stanza)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, s.Err()
}

// splitStanzas is a bufio.SplitFunc: stanzas are separated by empty lines.
func splitStanzas(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
		return i + 2, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

func parseStanza(stanza []byte) (PackageInfo, error) {
	var p PackageInfo
	r, err := control.NewParagraphReader(bytes.NewReader(append(bytes.TrimRight(stanza, "\n"), '\n', '\n')), nil)
	if err != nil {
		return p, err
	}
	v, err := r.Next()
	if err != nil {
		return p, err
	}
	p.Name, p.Version, p.Filename = v.Values["Package"], v.Values["Version"], v.Values["Filename"]
	p.SHA256 = strings.TrimSpace(v.Values["SHA256"])
	if p.Size, err = strconv.ParseInt(strings.TrimSpace(v.Values["Size"]), 10, 64); err != nil || p.Size <= 0 {
		return p, fmt.Errorf("package %q: size %q", p.Name, v.Values["Size"])
	}
	if !filepath.IsLocal(p.Filename) {
		return p, fmt.Errorf("package %q: file name %q", p.Name, p.Filename)
	}
	if !hexSHA256.MatchString(p.SHA256) {
		return p, fmt.Errorf("package %q: sha256 %q", p.Name, p.SHA256)
	}
	if _, err := version.Parse(p.Version); err != nil {
		return p, fmt.Errorf("package %q: version %q: %w", p.Name, p.Version, err)
	}
	for _, dep := range strings.Split(v.Values["Depends"], ",") {
		var names []string
		for _, alternative := range strings.Split(dep, "|") {
			if name := strings.FieldsFunc(alternative, func(c rune) bool { return c == ' ' || c == '\n' || c == '(' || c == ':' }); len(name) > 0 {
				names = append(names, name[0])
			}
		}
		if len(names) > 0 {
			p.Depends = append(p.Depends, names)
		}
	}
	return p, nil
}

// findPackage picks the newest version of a package, or the one asked for.
func findPackage(packages []PackageInfo, name, want, suite string) (PackageInfo, error) {
	var found []PackageInfo
	for _, p := range packages {
		if p.Name == name {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return PackageInfo{}, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("suite %s has no package %s; %s", suite, name, matrix.DidYouMean(name, packageNames(packages))),
			Hint: "correct package: in the matrix",
		}
	}
	slices.SortFunc(found, func(a, b PackageInfo) int { return compareDebian(b.Version, a.Version) })
	if want == "" {
		return found[0], nil
	}
	var have []string
	for _, p := range found {
		if p.Version == want {
			return p, nil
		}
		have = append(have, p.Version)
	}
	return PackageInfo{}, &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("suite %s has %s in version %s, not %s", suite, name, strings.Join(have, ", "), want),
		Hint: "correct version: in the matrix, or name a snapshot archive as mirror:",
	}
}

// compareDebian compares two versions that parseStanza has accepted.
func compareDebian(a, b string) int {
	va, _ := version.Parse(a)
	vb, _ := version.Parse(b)
	return version.Compare(va, vb)
}

func packageNames(packages []PackageInfo) []string {
	names := make([]string, len(packages))
	for i, p := range packages {
		names[i] = p.Name
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kernelParts are the packages that a kernel's files are spread over: the
// image, and since 7.3 binary (vmlinuz), modules and base (config).
var kernelParts = regexp.MustCompile(`^linux-(image|binary|modules|base)-`)

// maxParts bounds what a kernel is spread over; 7.3 has 8 packages.
const maxParts = 32

// resolveKernel follows a meta or stub package to all that carry the kernel.
// The first of the result is the package that was named.
func resolveKernel(packages []PackageInfo, name, want, suite string) ([]PackageInfo, error) {
	p, err := findPackage(packages, name, want, suite)
	if err != nil {
		return nil, err
	}
	parts := []PackageInfo{p}
	for i := 0; i < len(parts); i++ {
		for _, alternatives := range parts[i].Depends {
			alternatives = slices.DeleteFunc(slices.Clone(alternatives), func(n string) bool { return !kernelParts.MatchString(n) })
			if len(alternatives) == 0 || slices.ContainsFunc(parts, func(q PackageInfo) bool { return slices.Contains(alternatives, q.Name) }) {
				continue
			}
			q, err := findPart(packages, alternatives, parts[i].Version, suite)
			if err != nil && strings.HasPrefix(alternatives[0], "linux-base-") {
				// Backports keep images of past series without it: a kernel boots
				// without what it has, and up to 7.1 the image has the config.
				continue
			}
			if err != nil {
				return nil, about("resolve the dependencies of "+parts[i].Name, err)
			}
			if parts = append(parts, q); len(parts) > maxParts {
				return nil, &matrix.Failure{Side: matrix.SideKernel, Reason: fmt.Sprintf("%s %s depends on more than %d kernel packages", name, p.Version, maxParts)}
			}
		}
	}
	return parts, nil
}

// findPart picks the first of the alternatives that the suite has, in the
// version of the package that depends on it where there is one: the parts of
// one kernel have one version.
func findPart(packages []PackageInfo, alternatives []string, version, suite string) (PackageInfo, error) {
	var first error
	for _, name := range alternatives {
		q, err := findPackage(packages, name, version, suite)
		if err != nil {
			q, err = findPackage(packages, name, "", suite)
		}
		if err == nil {
			return q, nil
		}
		if first == nil {
			first = err
		}
	}
	return PackageInfo{}, first
}

// carrier is the part that holds the kernel image itself.
func carrier(parts []PackageInfo) PackageInfo {
	for _, prefix := range []string{"linux-binary-", "linux-image-"} {
		for _, p := range slices.Backward(parts) {
			if strings.HasPrefix(p.Name, prefix) {
				return p
			}
		}
	}
	return parts[0]
}
