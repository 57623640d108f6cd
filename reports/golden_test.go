package reports

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files; read them before committing")

func TestRenderingsAreAsRead(t *testing.T) {
	clean := synthetic()
	clean.Runs = clean.Runs[:1]
	for _, c := range []struct {
		file   string
		format string
		in     Input
		opts   Options
	}{
		{"terminal-120.txt", "terminal", synthetic(), Options{Width: 120}},
		{"terminal-80.txt", "terminal", synthetic(), Options{Width: 80}},
		{"terminal-40.txt", "terminal", synthetic(), Options{Width: 40}},
		{"terminal-wide.txt", "terminal", synthetic(), Options{Width: 40, Wide: true}},
		{"terminal-color.txt", "terminal", synthetic(), Options{Width: 160, Color: true}},
		{"terminal-interrupted.txt", "terminal", interrupted(), Options{Width: 120}},
		{"terminal-pass.txt", "terminal", clean, Options{}},
		{"report.md", "markdown", synthetic(), Options{Link: someLogs}},
		{"interrupted.md", "markdown", interrupted(), Options{}},
		{"results.json", "json", clean, Options{}},
		{"summary.md", "summary", synthetic(), Options{}},
		{"report.csv", "csv", synthetic(), Options{}},
		{"interrupted.csv", "csv", interrupted(), Options{}},
		{"junit.xml", "junit", synthetic(), Options{}},
		{"interrupted.junit.xml", "junit", interrupted(), Options{}},
		{"report.tap", "tap", synthetic(), Options{}},
		{"interrupted.tap", "tap", interrupted(), Options{}},
		{"github.txt", "github", synthetic(), Options{}},
		{"report.html", "html", synthetic(), Options{Tail: hostileTail, Link: someLogs}},
		{"report.svg", "svg", synthetic(), Options{}},
		{"natural.svg", "svg", withNatural(), Options{}},
		{"schema.json", "schema", clean, Options{}},
	} {
		t.Run(c.file, func(t *testing.T) { golden(t, c.file, c.format, Build(c.in), c.opts) })
	}
}

// real.json is a run of the default matrix as it was saved, without what is
// derived.
func TestRealRunRendersAsRead(t *testing.T) {
	r, err := Load(filepath.Join("testdata", "real.json"))
	if err != nil {
		t.Fatal(err)
	}
	for file, format := range map[string]string{
		"real-terminal.txt": "terminal", "real.md": "markdown", "real-summary.md": "summary", "real.csv": "csv",
	} {
		t.Run(file, func(t *testing.T) { golden(t, file, format, r, Options{Width: 120}) })
	}
}

func golden(t *testing.T, file, format string, r *Report, opts Options) {
	t.Helper()
	f, err := LookupFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := f.Render(&got, r, opts); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); run go test ./reports -update and read it:\n%s", path, diff)
	}
}
