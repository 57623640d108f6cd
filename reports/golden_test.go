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
		{"terminal-color.txt", "terminal", synthetic(), Options{Width: 160, Color: true}},
		{"terminal-interrupted.txt", "terminal", interrupted(), Options{Width: 120}},
		{"terminal-pass.txt", "terminal", clean, Options{}},
		{"report.md", "markdown", synthetic(), Options{}},
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
		{"report.html", "html", synthetic(), Options{Tail: hostileTail}},
		{"report.svg", "svg", synthetic(), Options{}},
	} {
		t.Run(c.file, func(t *testing.T) {
			f, err := LookupFormat(c.format)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := f.Render(&got, Build(c.in), c.opts); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", c.file)
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
		})
	}
}
