package kernels

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// moduleProxy publishes a module with these files in a proxy that is a
// directory, and lets the go command know of no other. The module has no place
// in the checksum database.
func moduleProxy(t *testing.T, module, version string, files ...tarFile) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command here (apt-get install golang-go)")
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	mod := "module " + module + "\n"
	for _, f := range append([]tarFile{{name: "go.mod", body: []byte(mod)}}, files...) {
		if f.kind != 0 {
			continue
		}
		part, err := w.Create(module + "@" + version + "/" + strings.TrimPrefix(f.name, "./"))
		must(t, err)
		_, err = part.Write(f.body)
		must(t, err)
	}
	must(t, w.Close())
	dir := filepath.Join(t.TempDir(), module, "@v")
	must(t, os.MkdirAll(dir, 0o755))
	for name, data := range map[string]string{
		version + ".info": `{"Version": "` + version + `"}`, version + ".mod": mod, version + ".zip": packed.String(), "list": version + "\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644))
	}
	root := filepath.Clean(strings.TrimSuffix(dir, filepath.Join(module, "@v")))
	for name, value := range map[string]string{
		"GOPROXY": "file://" + root, "GOSUMDB": "off", "GOMODCACHE": filepath.Join(t.TempDir(), "mod"), "GONOSUMDB": "", "GOPRIVATE": "", "GONOPROXY": "",
	} {
		t.Setenv(name, value)
	}
}

func TestGoModuleBecomesAKernel(t *testing.T) {
	c := gomodConfig{Module: "example.org/kernel.amd64", Version: "v0.1.0"}
	moduleProxy(t, c.Module, c.Version, fakeKernel(aRelease, "./")...)
	// What the checksum database is not asked about needs a hash in the matrix.
	failsWith(t, gomodSource{}, c, "set up not to ask the checksum database", "gomod")
	c.Sum = "h1:" + strings.Repeat("A", 43) + "="
	failsWith(t, gomodSource{}, c, "wrong hash: h1:", "gomod")
	c.Sum = moduleHash(t, c)

	e := newTestEnv(t)
	img, err := gomodSource{}.Fetch(t.Context(), e.Env, c)
	must(t, err)
	isKernel(t, img, "gomod", true)
	d := img.Provenance.Details
	if d["module"] != c.Module || d["module_version"] != c.Version || d["sum"] != c.Sum {
		t.Errorf("details %v", d)
	}
	// It is kept: the proxy is not asked again.
	t.Setenv("GOPROXY", "off")
	_, err = gomodSource{}.Fetch(t.Context(), e.Env, c)
	must(t, err)
	want(t, "left behind", leftovers(t, e.Cache), nil)

	c.Version = "v0.2.0"
	failsWith(t, gomodSource{}, c, "go mod download: ", "gomod")
}

// moduleHash is what the go command says a module's hash is.
func moduleHash(t *testing.T, c gomodConfig) string {
	t.Helper()
	out, err := goCommand(t.Context(), "mod", "download", "-json", c.Module+"@"+c.Version)
	must(t, err)
	_, rest, _ := strings.Cut(string(out), `"Sum": "`)
	sum, _, _ := strings.Cut(rest, `"`)
	return sum
}
