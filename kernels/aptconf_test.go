package kernels

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kqual/matrix"
)

func TestHostMirror(t *testing.T) {
	const deb822 = `# a comment
Types: deb
# another
URIs: http://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
`
	tests := []struct {
		name           string
		files          map[string]string // below etc/apt
		main, security string            // "" where there is none
	}{
		{
			"deb822",
			map[string]string{"sources.list.d/debian.sources": deb822},
			"http://mirror.example.org/debian", "http://mirror.example.org/debian-security",
		},
		{"one-line", map[string]string{"sources.list": `
# deb http://commented.example.org/debian bookworm main
deb [ arch=amd64 signed-by=/usr/share/keyrings/x.gpg ] https://one.example.org/debian bookworm main non-free # why
deb-src https://src.example.org/debian bookworm main
deb	https://one.example.org/debian-security	bookworm-security main
`}, "https://one.example.org/debian", "https://one.example.org/debian-security"},
		{"third parties are passed over", map[string]string{
			"sources.list.d/a-node.sources":  "Types: deb\nURIs: https://a.example.org/node\nSuites: nodistro\nComponents: main\n",
			"sources.list.d/b-pgdg.sources":  "Types: deb\nURIs: https://b.example.org/pgdg\nSuites: bookworm-pgdg\nComponents: main\n",
			"sources.list.d/c-docker.list":   "deb [arch=amd64] https://c.example.org/linux/debian bookworm stable\n",
			"sources.list.d/d-cloud.list":    "deb https://d.example.org/apt cloud-sdk-bookworm main\n",
			"sources.list.d/e-flat.list":     "deb https://e.example.org/flat ./\n",
			"sources.list.d/f-debian.list":   "deb https://f.example.org/debian sid main\n",
			"sources.list.d/g-security.list": "deb https://g.example.org/security buster/updates main\n",
		}, "https://f.example.org/debian", "https://g.example.org/security"},
		{"disabled entries and CD-ROMs are passed over", map[string]string{
			"sources.list":                 "deb cdrom:[Debian GNU/Linux 12]/ bookworm main\ndeb https://net.example.org/debian stable main\n",
			"sources.list.d/x.sources":     "Enabled: no\nTypes: deb\nURIs: https://off.example.org/debian\nSuites: bookworm-security\nComponents: main\n",
			"sources.list.d/skip.sources~": deb822,
		}, "https://net.example.org/debian", ""},
		{"mirror lists", map[string]string{
			"sources.list.d/debian.sources": "Types: deb deb-src\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\n bookworm-updates\nComponents: main\n",
			"mirrors/debian.list":           "# mirrors\nhttps://listed.example.org/debian\tpriority:1\nhttps://second.example.org/debian\n",
		}, "https://listed.example.org/debian", ""},
		{"nothing", nil, "", ""},
		{"garbage", map[string]string{"sources.list": "deb\ndeb [\ndeb x\n\x00\xff", "sources.list.d/x.sources": ": :\n\n\nTypes deb\n  \n"}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(root, "etc/apt", name)
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, []byte(text), 0o644))
			}
			for suite, want := range map[string]string{"trixie-backports": tt.main, "bullseye-security": tt.security} {
				got, err := hostMirror(root, suite)
				if got != want {
					t.Errorf("%s: %q, want %q (%v)", suite, got, want, err)
				}
				var f *matrix.Failure
				if want == "" && (!errors.As(err, &f) || !strings.Contains(f.Hint, mirrorVariable(suite))) {
					t.Errorf("%s: error %v", suite, err)
				}
			}
		})
	}
}

func FuzzAptSources(f *testing.F) {
	f.Add("Types: deb\nURIs: http://m.example.org/debian\nSuites: bookworm\nComponents: main\n")
	f.Add("deb [arch=amd64] http://m.example.org/debian bookworm main")
	f.Add("deb [")
	f.Add(" x\n:\nTypes: deb\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range append(parseDeb822(text), parseOneLine(text)...) {
			if len(e.uris) == 0 || len(e.suites) == 0 {
				t.Errorf("an entry without URI or suite: %+v", e)
			}
			e.isDebian()
		}
	})
}
