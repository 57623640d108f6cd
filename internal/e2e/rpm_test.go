package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kqual/internal/rpmtest"
	"kqual/kernels"
	"kqual/matrix"
)

// A real kernel, packed as an rpm distribution packs its own, boots with its
// modules: xfs is one.
func TestVMAKernelFromRPMsBoots(t *testing.T) {
	needVM(t)
	dir, err := kernels.DefaultCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := kernels.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	env := kernels.Env{Cache: cache, Kernel: "debian-12", Progress: func(kernels.Event) {}}
	deb, p, err := kernels.FetchDebianPackage(t.Context(), env, kernels.DebianConfig{Suite: "bookworm", Package: "linux-image-6.1.*-cloud-amd64", Track: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	release := strings.TrimPrefix(p.Name, "linux-image-")
	tree := t.TempDir()
	wanted := func(name string) bool {
		return strings.HasPrefix(name, "boot/") || strings.Contains(name, "/kernel/fs/") || strings.Contains(name, "/kernel/lib/") ||
			strings.Contains(name, "/kernel/drivers/virtio/") || strings.Contains(name, "/kernel/drivers/block/") || strings.Contains(name, "/kernel/crypto/")
	}
	if err := kernels.ExtractDeb(deb, wanted, tree); err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, path := range rpmtest.Kernel(t, tree, release, "w3.zstdio") {
		sum, err := kernels.HashFile(path)
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, fmt.Sprintf("{path: %s, sha256: %s}", path, sum))
	}
	file, out := filepath.Join(t.TempDir(), "rpm.yaml"), t.TempDir()
	text := fmt.Sprintf(`version: 1
name: rpm
sampling: {detection_limit: 2%%}
kernels:
  - {name: from-rpm, rpm: {packages: [%s]}}
filesystems: [tmpfs, xfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
`, strings.Join(packages, ", "))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, "run", "--matrix", file, "--out", out); code != 0 {
		t.Fatalf("exit %d:\n%s", code, stderr)
	}
	r := load(t, out)
	if k := r.Kernels[0]; k.Provenance.Source != "rpm" || len(k.Boots) == 0 || k.Boots[0].Release != release {
		t.Errorf("kernel %+v", k)
	}
	for _, c := range r.Cells {
		if c.Verdict.Kind != matrix.VerdictClean {
			t.Errorf("%s: %s", c.ID(), matrix.VerdictText(c.Verdict))
		}
	}
	if len(r.Cells) != 2 {
		t.Errorf("%d cells", len(r.Cells))
	}
}
