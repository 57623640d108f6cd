package kernels

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestVMOneRealKernelIsTheSameFromEveryOrigin takes one Debian kernel through
// the archive, as a file, as a tarball and as a container image.
func TestVMOneRealKernelIsTheSameFromEveryOrigin(t *testing.T) {
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("fetches a real kernel; set KQUAL_VM=1 (make test does)")
	}
	e := newTestEnv(t)
	c := DebianConfig{Suite: "bookworm", Package: "linux-image-6.1.*-cloud-amd64", Track: trackLatest}
	path, p, err := FetchDebianPackage(t.Context(), e.Env, c)
	must(t, err)
	want, err := debianSource{}.Fetch(t.Context(), e.Env, c)
	must(t, err)

	start := time.Now()
	fromDeb, err := debSource{}.Fetch(t.Context(), e.Env, packageFiles{Packages: []blob{{Path: path, SHA256: p.SHA256}}})
	must(t, err)
	t.Logf("deb: %s %s in %v", p.Name, p.Version, time.Since(start))

	tree := t.TempDir()
	must(t, ExtractDeb(path, wantedFile, tree))
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	must(t, w.AddFS(os.DirFS(tree)))
	must(t, w.Close())
	fromURL, err := urlSource{}.Fetch(t.Context(), e.Env, blob{URL: serve(t, packed.Bytes()) + "/kernel.tar", SHA256: sum(packed.Bytes())})
	must(t, err)

	start = time.Now()
	image, _ := push(t, newRegistry(), packed.Bytes())
	fromOCI, err := ociSource{}.Fetch(t.Context(), e.Env, ociConfig{Image: image})
	must(t, err)
	t.Logf("oci: %d bytes pushed and fetched in %v", packed.Len(), time.Since(start))

	for _, img := range []*Image{fromDeb, fromURL, fromOCI} {
		if img.Provenance.SHA256 != want.Provenance.SHA256 || img.Release != want.Release || img.Vmlinux != want.Vmlinux {
			t.Errorf("%s: %+v\nwant %+v", img.Provenance.Source, img, want)
		}
		if got, want := countFiles(t, img.Modules), countFiles(t, want.Modules); got != want || got == 0 {
			t.Errorf("%s: %d module files, want %d", img.Provenance.Source, got, want)
		}
		must(t, img.Verify())
	}
}

func countFiles(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}
