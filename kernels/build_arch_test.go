package kernels

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"kqual/matrix"
)

// crossMakefile builds an Image as far as kqual looks, and tells what it was
// called with.
const crossMakefile = `
allnoconfig:
	@cp $(KCONFIG_ALLCONFIG) .config

Image:
	@mkdir -p arch/arm64/boot
	@{ cat head; printf 'Linux version 5.10.223%s (a@b) #1\n' "$$(cat localversion*)"; } > arch/arm64/boot/Image
	@echo "ARCH=$(ARCH) CROSS_COMPILE=$(CROSS_COMPILE) CC=$(CC)" > called
`

func TestABuildForAnotherArchitectureUsesItsTools(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("arm64 is this host's own architecture")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, name := range []string{"aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc-99"} {
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho "+name+" 1.0\n"), 0o755))
	}
	b := newBuilder(t, map[string]string{"Makefile": crossMakefile, "head": string(fakeImage("x")[:64])})
	b.Arch = "arm64"
	img := b.build()
	p := img.Provenance
	if p.Arch != "arm64" || p.Version != "5.10.223" || !strings.HasPrefix(img.Release, "5.10.223-kqual-stock-") || p.Details["compiler"] != "aarch64-linux-gnu-gcc 1.0" {
		t.Errorf("%+v", img)
	}
	called := func() string {
		paths, _ := filepath.Glob(filepath.Join(b.Cache.Dir(), treeKind, "*", "src", "called"))
		if len(paths) == 0 {
			t.Fatal("nothing was built")
		}
		data, err := os.ReadFile(paths[0])
		must(t, err)
		must(t, os.Remove(paths[0]))
		return strings.TrimSpace(string(data))
	}
	if got, want := called(), "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=cc"; got != want { // make's own
		t.Errorf("called with %q, want %q", got, want)
	}
	_, err := buildSource{}.Fetch(t.Context(), b.Env, buildConfig{Source: buildOrigin{Tree: b.source}, Config: []string{b.config}, CC: "gcc-99"})
	must(t, err)
	if got, want := called(), "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-99"; got != want {
		t.Errorf("called with %q, want %q", got, want)
	}
	if got := targets["arm64"].compiler("clang"); got != "clang" {
		t.Errorf("clang is called %s", got)
	}
}

func TestABuildWithoutACrossCompilerIsSaid(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("arm64 is this host's own architecture")
	}
	b := newBuilder(t, fakeSource())
	bin := t.TempDir()
	for _, tool := range buildTools {
		must(t, os.WriteFile(filepath.Join(bin, tool.Program), []byte("#!/bin/sh\n"), 0o755))
	}
	t.Setenv("PATH", bin)
	b.Arch = "arm64"
	_, err := b.fetch(t.Context())
	var f *matrix.Failure
	if !errors.As(err, &f) || f.Reason != "arch arm64 cannot be built here: aarch64-linux-gnu-gcc is not installed" || f.Hint != "apt-get install gcc-aarch64-linux-gnu" {
		t.Errorf("%+v", err)
	}
}
