package kernels

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/control"

	"kqual/matrix"
)

// aptEntry is one archive of the host's apt configuration (sources.list(5)).
type aptEntry struct {
	uris       []string
	suites     []string
	components []string
}

// hostMirror returns the base URL from which the host's apt gets suite's kind:
// the security archive for suites that end in -security, the main archive for
// all others. root is / except in tests.
func hostMirror(root, suite string) (string, error) {
	security := isSecurity(suite)
	for _, e := range aptEntries(root) {
		if !e.isDebian() || slices.ContainsFunc(e.suites, isSecurity) != security {
			continue
		}
		for _, uri := range e.uris {
			if base := httpMirror(root, uri); base != "" {
				return base, nil
			}
		}
	}
	what := "a Debian archive"
	if security {
		what = "Debian's security archive"
	}
	return "", &matrix.Failure{
		Side: matrix.SideHost, Reason: fmt.Sprintf("apt's configuration names no mirror of %s", what),
		Hint: "name one in the matrix (debian: {mirror: …}) or in " + mirrorVariable(suite),
	}
}

// mirrorVariable is the environment variable that overrides the mirror.
func mirrorVariable(suite string) string {
	if isSecurity(suite) {
		return "KQUAL_DEBIAN_SECURITY_MIRROR"
	}
	return "KQUAL_DEBIAN_MIRROR"
}

// httpMirror returns the base URL behind a URI of apt's configuration, or ""
// for one that is of no use here, such as cdrom:. mirror+file: names a file
// that lists mirrors, one per line, as in Debian's cloud images
// (apt-transport-mirror(1)).
func httpMirror(root, uri string) string {
	if path, ok := strings.CutPrefix(uri, "mirror+file:"); ok {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return ""
		}
		uri = ""
		for _, line := range strings.Split(string(data), "\n") {
			if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(f[0], "#") {
				uri = f[0]
				break
			}
		}
	}
	if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
		return ""
	}
	return strings.TrimRight(uri, "/")
}

func isSecurity(suite string) bool {
	return strings.HasSuffix(suite, "-security") || strings.HasSuffix(suite, "/updates")
}

// debianSuites are names by which Debian's archives are known from others in
// apt's configuration.
var debianSuites = []string{
	"oldoldstable", "oldstable", "stable", "testing", "unstable", "experimental", "sid",
	"stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
}

// debianPockets are what Debian appends to the names of its suites. Others
// append their own: bookworm-pgdg.
var debianPockets = []string{"", "-updates", "-backports", "-backports-sloppy", "-proposed-updates", "-security", "/updates"}

// isDebian says whether the entry is one of Debian's own archives: it has the
// component main, which third parties that use Debian's suite names mostly do
// not, and its suites have Debian's names. If that should err, the archive's
// signature tells.
func (e aptEntry) isDebian() bool {
	return slices.Contains(e.components, "main") && slices.ContainsFunc(e.suites, func(s string) bool {
		return slices.ContainsFunc(debianPockets, func(pocket string) bool {
			base, ok := strings.CutSuffix(s, pocket)
			return ok && slices.Contains(debianSuites, base)
		})
	})
}

// aptEntries reads sources.list, sources.list.d/*.list and *.sources. What
// cannot be read or parsed is passed over: apt itself will complain.
func aptEntries(root string) []aptEntry {
	dir := filepath.Join(root, "etc/apt")
	files := []string{filepath.Join(dir, "sources.list")}
	for _, pattern := range []string{"*.sources", "*.list"} {
		more, _ := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		files = append(files, more...)
	}
	var entries []aptEntry
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if strings.HasSuffix(path, ".sources") {
			entries = append(entries, parseDeb822(string(data))...)
		} else {
			entries = append(entries, parseOneLine(string(data))...)
		}
	}
	return entries
}

// parseDeb822 reads the paragraphs of a .sources file.
func parseDeb822(text string) []aptEntry {
	var entries []aptEntry
	var kept []string
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			kept = append(kept, s.Text())
		}
	}
	r, err := control.NewParagraphReader(strings.NewReader(strings.Join(kept, "\n")+"\n"), nil)
	if err != nil {
		return nil
	}
	for {
		p, err := r.Next()
		if err != nil {
			return entries
		}
		types := strings.Fields(p.Values["Types"])
		if enabled := strings.ToLower(p.Values["Enabled"]); slices.Contains([]string{"no", "false", "without", "off", "disable", "0"}, enabled) || !slices.Contains(types, "deb") && !slices.Contains(types, "deb-src") {
			continue
		}
		e := aptEntry{
			uris: strings.Fields(p.Values["URIs"]), suites: strings.Fields(p.Values["Suites"]),
			components: strings.Fields(p.Values["Components"]),
		}
		if len(e.uris) > 0 && len(e.suites) > 0 {
			entries = append(entries, e)
		}
	}
}

// parseOneLine reads the lines of a .list file: deb [options] URI suite ….
func parseOneLine(text string) []aptEntry {
	var entries []aptEntry
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		if kind != "deb" && kind != "deb-src" {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, after, ok := strings.Cut(rest, "]")
			if !ok {
				continue
			}
			rest = after
		}
		if f := strings.Fields(rest); len(f) >= 2 {
			entries = append(entries, aptEntry{uris: f[:1], suites: f[1:2], components: f[2:]})
		}
	}
	return entries
}
