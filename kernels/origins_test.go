package kernels

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocitar "github.com/google/go-containerregistry/pkg/v1/tarball"
	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

const aRelease = "6.9.0-origin"

// serve answers every request with data.
func serve(t *testing.T, data []byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	t.Cleanup(s.Close)
	return s.URL
}

func tarOf(files ...tarFile) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.body)), Typeflag: tar.TypeReg, Linkname: f.link}
		if f.kind != 0 {
			h.Typeflag = f.kind
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		w.Write(f.body)
	}
	w.Close()
	return buf.Bytes()
}

// isKernel checks that img is the fake kernel, ready to boot.
func isKernel(t *testing.T, img *Image, source string, modules bool) {
	t.Helper()
	if img.Release != aRelease || img.Vmlinux == "" || img.Provenance.Source != source || (img.Modules != "") != modules {
		t.Errorf("image %+v", img)
	}
	if err := img.Verify(); err != nil {
		t.Error(err)
	}
	if !modules {
		return
	}
	if order, err := LoadOrder(img.Modules, []string{"xfs"}); err != nil || len(order.Modules) != 2 {
		t.Errorf("modules %+v, %v", order, err)
	}
}

// failsWith fetches and wants a failure, and nothing left in the cache.
func failsWith(t *testing.T, s Source, config any, want, kind string) {
	t.Helper()
	e := newTestEnv(t)
	_, err := s.Fetch(t.Context(), e.Env, config)
	var f *matrix.Failure
	if !errors.As(err, &f) || !strings.Contains(f.Reason, want) || f.Hint == "" {
		t.Errorf("error %v, want a failure with %q and a hint", err, want)
	}
	if left := leftovers(t, e.Cache, kind, "vmlinux"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDebFilesBecomeAKernel(t *testing.T) {
	files := fakeKernel(aRelease, "./")
	image, modules := fakeDeb(files[:4]...), fakeDeb(files[4:]...)
	local := filepath.Join(t.TempDir(), "linux-modules.deb")
	must(t, os.WriteFile(local, modules, 0o644))
	e := newTestEnv(t)
	img, err := debSource{}.Fetch(t.Context(), e.Env, packageFiles{Packages: []blob{
		{URL: serve(t, image) + "/linux-image.deb", SHA256: sum(image)}, {Path: local, SHA256: sum(modules)},
	}})
	must(t, err)
	isKernel(t, img, "deb", true)
	if img.Provenance.Details["file_sha256"] != sum(image)+" "+sum(modules) {
		t.Errorf("provenance %+v", img.Provenance)
	}
}

func TestDebFilesThatAreNotWhatTheyShouldBeAreRefused(t *testing.T) {
	good := fakeDeb(fakeKernel(aRelease, "./")...)
	at := func(data []byte, hash string) packageFiles {
		return packageFiles{Packages: []blob{{URL: serve(t, data) + "/k.deb", SHA256: hash}}}
	}
	escape := fakeDeb(tarFile{name: "../../etc/vmlinuz", body: []byte("x")})
	two := fakeDeb(append(fakeKernel(aRelease, "./"), fakeKernel("6.9.1", "./")...)...)
	device := fakeDeb(tarFile{name: "./boot/vmlinuz-1", kind: tar.TypeBlock}, tarFile{name: "./boot/vmlinuz-2", kind: tar.TypeSymlink, link: "/etc/passwd"})
	for name, test := range map[string]struct {
		config packageFiles
		want   string
	}{
		"wrong hash":  {at(good, strings.Repeat("0", 64)), "wrong hash"},
		"truncated":   {at(good[:len(good)/2], sum(good)), "wrong hash"},
		"no package":  {at([]byte("hello"), sum([]byte("hello"))), "no Debian package"},
		"path":        {at(escape, sum(escape)), "outside its root"},
		"device":      {at(device, sum(device)), "no vmlinuz in k.deb"},
		"two kernels": {at(two, sum(two)), "more than one kernel"},
		"gone":        {packageFiles{Packages: []blob{{Path: "/nowhere.deb", SHA256: sum(good)}}}, "no file /nowhere.deb"},
	} {
		t.Run(name, func(t *testing.T) { failsWith(t, debSource{}, test.config, test.want, "deb") })
	}
}

func TestURLGivesABareImageOrATarball(t *testing.T) {
	bare := fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))
	packed := gzipped(tarOf(fakeKernel(aRelease, "./")...))
	plain := tarOf(tarFile{name: "boot/vmlinuz", body: bare})
	for _, test := range []struct {
		name    string
		data    []byte
		modules bool
	}{{"bzImage", bare, false}, {"kernel.tar.gz", packed, true}, {"kernel.tar", plain, false}} {
		e := newTestEnv(t)
		img, err := urlSource{}.Fetch(t.Context(), e.Env, blob{URL: serve(t, test.data) + "/" + test.name, SHA256: sum(test.data)})
		must(t, err)
		isKernel(t, img, "url", test.modules)
	}
}

func TestURLWithoutAHashIsTakenAndSaidToBeUnverified(t *testing.T) {
	data := fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	defer s.Close()
	e := newTestEnv(t)
	c := blob{URL: s.URL + "/bzImage", Unverified: true}
	for _, release := range []string{aRelease, "6.9.1"} { // what the URL gives is taken anew
		data = fakeBzImage(release, gzipped(fakeVmlinux(true)))
		img, err := urlSource{}.Fetch(t.Context(), e.Env, c)
		must(t, err)
		p := img.Provenance
		if img.Release != release || p.Unverified() != "taken without a sha256 from "+c.URL || p.Details["file_sha256"] != sum(data) {
			t.Errorf("release %s, provenance %+v", img.Release, p)
		}
		must(t, img.Verify())
	}
	verified, err := urlSource{}.Fetch(t.Context(), e.Env, blob{URL: c.URL, SHA256: sum(data)})
	must(t, err)
	if why := verified.Provenance.Unverified(); why != "" {
		t.Errorf("with its hash it is unverified: %s", why)
	}
	s.Close()
	_, err = urlSource{}.Fetch(t.Context(), e.Env, c)
	if !refused(err) {
		t.Errorf("error %v, want a failure", err)
	}
	want(t, "left behind", leftovers(t, e.Cache), nil)

	deb := fakeDeb(fakeKernel(aRelease, "./")...)
	img, err := debSource{}.Fetch(t.Context(), e.Env, packageFiles{Packages: []blob{{URL: serve(t, deb) + "/k.deb", Unverified: true}}})
	must(t, err)
	isKernel(t, img, "deb", true)
	if img.Provenance.Unverified() == "" {
		t.Errorf("provenance %+v", img.Provenance)
	}
}

func TestURLFollowsNoCircles(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	}))
	defer s.Close()
	failsWith(t, urlSource{}, blob{URL: s.URL + "/bzImage", SHA256: sum(nil)}, "stopped after 10 redirects", "url")
}

func TestURLRefusesABomb(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	must(t, w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o644, Size: maxExtracted + 1, Typeflag: tar.TypeReg}))
	bomb := gzipped(buf.Bytes()) // the header is enough: the size it claims is refused
	failsWith(t, urlSource{}, blob{URL: serve(t, bomb) + "/k.tar.gz", SHA256: sum(bomb)}, "unpacks to more than", "url")
}

func TestHostTakesTheRunningKernel(t *testing.T) {
	root := t.TempDir()
	s := hostSource{root: root, release: func() (string, error) { return aRelease, nil }}
	failsWith(t, s, hostConfig{}, "no image of the running kernel", "vmlinux")
	for _, f := range fakeKernel(aRelease, "") {
		if f.kind == 0 {
			path := filepath.Join(root, f.name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, f.body, 0o644))
		}
	}
	img, err := s.Fetch(t.Context(), newTestEnv(t).Env, hostConfig{})
	must(t, err)
	isKernel(t, img, "host", true)
}

func newRegistry() http.Handler { return registry.New(registry.Logger(log.New(io.Discard, "", 0))) }

// push stores an image of layers, each a tar, in a registry on 127.0.0.1.
func push(t *testing.T, handler http.Handler, layers ...[]byte) (string, v1.Image) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	at := strings.TrimPrefix(s.URL, "http://") + "/kernels/linux:6.9"
	return at, repush(t, at, layers...)
}

// repush puts an image of layers in the place of another.
func repush(t *testing.T, at string, layers ...[]byte) v1.Image {
	t.Helper()
	img := empty.Image
	for _, data := range layers {
		l, err := ocitar.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		must(t, err)
		img, err = mutate.AppendLayers(img, l)
		must(t, err)
	}
	ref, err := name.ParseReference(at)
	must(t, err)
	must(t, remote.Write(ref, img))
	return img
}

func TestContainerImageGivesAKernelByTagAndDigest(t *testing.T) {
	old := tarOf(tarFile{name: "boot/vmlinuz-5.0", body: []byte("replaced")})
	gone := tarOf(append([]tarFile{{name: "boot/.wh.vmlinuz-5.0"}}, fakeKernel(aRelease, "")...)...)
	at, want := push(t, newRegistry(), old, gone)
	digest, err := want.Digest()
	must(t, err)
	for _, image := range []string{at, strings.TrimSuffix(at, ":6.9") + "@" + digest.String()} {
		img, err := ociSource{}.Fetch(t.Context(), newTestEnv(t).Env, ociConfig{Image: image})
		must(t, err)
		isKernel(t, img, "oci", true)
		if img.Provenance.Details["digest"] != digest.String() {
			t.Errorf("provenance %+v", img.Provenance)
		}
	}
}

func TestContainerImageThatCannotBeHadSaysWhy(t *testing.T) {
	at, _ := push(t, newRegistry(), tarOf(tarFile{name: "etc/passwd", body: []byte("x")}))
	failsWith(t, ociSource{}, ociConfig{Image: at}, "no vmlinuz in "+at, "oci")
	failsWith(t, ociSource{}, ociConfig{Image: strings.TrimSuffix(at, "6.9") + "7"}, "get image", "oci")
}

// alteredBlobs is a registry whose layers come with their last byte changed.
type alteredBlobs struct{ http.Handler }

func (a alteredBlobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		a.Handler.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	a.Handler.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) { // a layer; the configuration is JSON
		body[len(body)-1] ^= 1
	}
	w.Write(body)
}

// stalledBlobs is a registry whose layers begin and never end.
type stalledBlobs struct {
	http.Handler
	done chan struct{}
}

func (s stalledBlobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		s.Handler.ServeHTTP(w, r)
		return
	}
	w.Write([]byte("\x1f\x8b"))
	w.(http.Flusher).Flush()
	<-s.done
}

func TestRegistryThatStallsIsGivenUp(t *testing.T) {
	usual := httpClient
	httpClient = &http.Client{Transport: watchedTransport{http.DefaultTransport, 200 * time.Millisecond}}
	t.Cleanup(func() { httpClient = usual })
	done := make(chan struct{})
	at, _ := push(t, stalledBlobs{newRegistry(), done}, tarOf(fakeKernel(aRelease, "")...))
	defer close(done)
	failsWith(t, ociSource{}, ociConfig{Image: at}, "no data for ", "oci")
}

func TestAlteredLayerIsRefused(t *testing.T) {
	at, _ := push(t, alteredBlobs{newRegistry()}, tarOf(fakeKernel(aRelease, "")...))
	failsWith(t, ociSource{}, ociConfig{Image: at}, "get image", "oci")
}

func TestCancelledOriginLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := newTestEnv(t)
	if _, err := (urlSource{}).Fetch(ctx, e.Env, blob{URL: serve(t, nil) + "/bzImage", SHA256: sum(nil)}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := leftovers(t, e.Cache, "url", "download"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOriginsInTheMatrixAreChecked(t *testing.T) {
	hash := "sha256: " + sum(nil)
	for _, test := range []struct{ source, text, want string }{
		{"deb", "{packages: [{path: a.deb, " + hash + "}]}", ""},
		{"deb", "{packages: [{path: a.deb}]}", "sha256: is missing"},
		{"deb", "{packages: [{path: a.deb, url: 'https://example.org/a.deb', " + hash + "}]}", "exactly one of path and url"},
		{"rpm", "{packages: [{path: a.rpm, " + hash + "}]}", ""},
		{"rpm", "{packages: [{url: 'https://example.org/a.rpm'}]}", "sha256: is missing"},
		{"url", "{url: 'https://example.org/bzImage', " + hash + "}", ""},
		{"url", "{url: 'https://example.org/bzImage'}", "sha256: is missing"},
		{"url", "{url: 'https://example.org/bzImage', unverified: true}", ""},
		{"url", "{url: 'https://example.org/bzImage', unverified: true, " + hash + "}", "remove one of the two"},
		{"deb", "{packages: [{path: a.deb, unverified: true}]}", "unverified: is for URLs"},
		{"url", "{url: 'https://example.org/bzImage', sha256: abc}", "is no sha256"},
		{"url", "{url: 'ftp://example.org/bzImage', " + hash + "}", "no http or https URL"},
		{"url", "{path: bzImage, " + hash + "}", "is for files on this machine"},
		{"host", "{}", ""},
		{"host", "{release: x}", "unknown key"},
		{"gomod", "{module: github.com/gokrazy/kernel.amd64, version: v0.0.0-20240101000000-abcdef012345}", ""},
		{"gomod", "{module: github.com/gokrazy/kernel.amd64, version: latest}", "is no version"},
		{"gomod", "{module: -x/y, version: v1.0.0}", "is no module path"},
		{"gomod", "{module: a.b/c, version: v1.0.0, sum: h1:x}", "is no h1: hash"},
		{"oci", "{image: 'registry.example.org/kernels:6.6'}", ""},
		{"oci", "{image: kernels}", "no full image name"},
		{"debian", "{suite: sid, package: 'linux-image-*-amd64', versions: '>=6.1 <6.2'}", ""},
		{"debian", "{suite: sid, package: linux-image-amd64, versions: '6.1'}", "has no comparison"},
		{"debian", "{suite: sid, package: linux-image-amd64, version: 6.1-1, versions: '>6'}", "remove one of the two"},
		{"debian", "{suite: sid, package: linux-image-amd64, track: newest}", "write latest or series"},
		{"debian", "{suite: sid, package: linux-image-amd64, snapshot: 20220115T000000Z, allow_expired: true}", ""},
		{"debian", "{suite: sid, package: linux-image-amd64, snapshot: 2022-01-15}", "is no moment"},
		{"debian", "{suite: sid, package: linux-image-amd64, snapshot: 20220115T000000Z, mirror: 'http://example.org'}", "remove one of the two"},
	} {
		var doc yaml.Node
		must(t, yaml.Unmarshal([]byte(test.text), &doc))
		_, problems := sources[test.source].Catalog().Decode(doc.Content[0], "kernels[0]."+test.source)
		var text []string
		for _, p := range problems {
			text = append(text, p.Path+": "+p.What)
		}
		got := strings.Join(text, "; ")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: %s: problems %q, want %q", test.source, test.text, got, test.want)
		}
	}
}
