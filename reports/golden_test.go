package reports

import (
	"bytes"
	"encoding/json"
	"flag"
	"image/png"
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
		{"../../docs/report.schema.json", "schema", clean, Options{}},
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
		"real.html": "html", "real.svg": "svg", "real.junit.xml": "junit", "real.tap": "tap", "real-github.txt": "github",
	} {
		t.Run(file, func(t *testing.T) { golden(t, file, format, r, Options{Width: 120}) })
	}
	t.Run("real-80.txt", func(t *testing.T) { golden(t, "real-80.txt", "terminal", r, Options{Width: 80}) })
	t.Run("real-derived.json", func(t *testing.T) { goldenBytes(t, "real-derived.json", derivedPart(t, r)) })
	t.Run("real.png", func(t *testing.T) { goldenImage(t, "real.png", r) })
}

// real-natural.json is a run of two natural scenarios beside unlink on four
// kernels, one of them affected.
func TestRealNaturalRunRendersAsRead(t *testing.T) {
	r, err := Load(filepath.Join("testdata", "real-natural.json"))
	if err != nil {
		t.Fatal(err)
	}
	for file, format := range map[string]string{"real-natural.txt": "terminal", "real-natural.md": "markdown", "real-natural.svg": "svg"} {
		t.Run(file, func(t *testing.T) { golden(t, file, format, r, Options{Width: 80}) })
	}
	t.Run("real-natural.png", func(t *testing.T) { goldenImage(t, "real-natural.png", r) })
}

// derivedPart is the json format without what real.json has as it is.
func derivedPart(t *testing.T, r *Report) []byte {
	t.Helper()
	saved, err := os.ReadFile(filepath.Join("testdata", "real.json"))
	if err != nil {
		t.Fatal(err)
	}
	var raw, all map[string]any
	if err := json.Unmarshal(saved, &raw); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(render(t, "json", r)), &all); err != nil {
		t.Fatal(err)
	}
	for key := range raw {
		if key != "kernels" && !cmp.Equal(raw[key], all[key]) { // those are ordered anew
			t.Errorf("%s is not as it was saved", key)
		}
		delete(all, key)
	}
	data, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
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
	goldenBytes(t, file, got.Bytes())
}

func goldenBytes(t *testing.T, file string, got []byte) {
	t.Helper()
	want := goldenFile(t, file, got)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("testdata/%s differs (-want +got); run go test ./reports -update and read it:\n%s", file, diff)
	}
}

// goldenFile is what the file has, after -update what was got.
func goldenFile(t *testing.T, file string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// goldenImage allows for pixels at the edges of shapes, which another
// processor's arithmetic may round otherwise.
func goldenImage(t *testing.T, file string, r *Report) {
	t.Helper()
	const allowed = 0.001 // of the pixels
	text := []byte(render(t, "png", r))
	got, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want, err := png.Decode(bytes.NewReader(goldenFile(t, file, text)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Bounds() != want.Bounds() {
		t.Fatalf("the image is %v, want %v", got.Bounds(), want.Bounds())
	}
	other, all := 0, got.Bounds().Dx()*got.Bounds().Dy()
	for y := got.Bounds().Min.Y; y < got.Bounds().Max.Y; y++ {
		for x := got.Bounds().Min.X; x < got.Bounds().Max.X; x++ {
			if got.At(x, y) != want.At(x, y) {
				other++
			}
		}
	}
	if float64(other) > allowed*float64(all) {
		t.Errorf("%d of %d pixels differ from testdata/%s; run go test ./reports -update and look at it", other, all, file)
	}
}
