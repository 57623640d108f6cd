package kernels

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kqual/matrix"
)

// counted is a server that counts what it is asked.
func counted(t *testing.T, h http.Handler) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	n := &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s, n
}

// notices is what users were told.
func (e *testEnv) notices() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, ev := range e.events {
		if ev.Notice {
			out = append(out, ev.Step)
		}
	}
	return strings.Join(out, "\n")
}

func TestOfflineTakesEverythingFromTheCache(t *testing.T) {
	m, e := manyKernels(t), newTestEnv(t)
	s, asked := counted(t, m)
	c := m.config("bookworm")
	c.Mirror, c.Package, c.Versions = s.URL, "linux-image-*-cloud-amd64", "<6.2"
	entry := matrix.Kernel{Name: "k", Source: "debian", Config: c}
	list, err := Expand(t.Context(), e.Env, entry)
	must(t, err)
	for _, k := range list {
		_, err := Fetch(t.Context(), e.Env, k)
		must(t, err)
	}
	before := asked.Load()
	e.Cache.Offline = true
	e.Cache.fresh = 0
	check := func() {
		t.Helper()
		list, err := Expand(t.Context(), e.Env, entry)
		must(t, err)
		if len(list) != 2 {
			t.Fatalf("%d kernels", len(list))
		}
		for _, k := range list {
			_, err := Fetch(t.Context(), e.Env, k)
			must(t, err)
		}
	}
	check()
	if n := asked.Load() - before; n != 0 {
		t.Errorf("%d requests came", n)
	}
	s.Close()
	check()
	if said := e.notices(); !strings.Contains(said, "offline: "+s.URL+"/dists/bookworm/InRelease as it was ") {
		t.Errorf("said %q", said)
	}

	other := c
	other.Versions = ">6.2"
	_, err = debianSource{}.Fetch(t.Context(), e.Env, other)
	wantFailure(t, err, "linux-image-6.12.1-1-cloud-amd64 6.12.1-1 is not in the cache, and --offline forbids the network", "kqual kernels fetch")
	other.Suite = "sid"
	_, err = debianSource{}.Fetch(t.Context(), e.Env, other)
	wantFailure(t, err, "an index of suite sid is not in the cache, and --offline forbids the network")
}

// An index that has expired since it was verified was valid then.
func TestOfflineIndexIsJudgedByTheTimeOfItsCheck(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	addKernel(m)
	until := time.Now().Add(2 * time.Second).UTC()
	m.publish(t, "testing", "Valid-Until: "+until.Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	_, err := fetchDebian(t, e, m.config("testing"))
	must(t, err)
	time.Sleep(time.Until(until.Add(10 * time.Millisecond)))
	e.Cache.fresh = 0
	_, err = fetchDebian(t, e, m.config("testing"))
	wantFailure(t, err, "expired")
	e.Cache.Offline = true
	_, err = fetchDebian(t, e, m.config("testing"))
	must(t, err)
	if said := e.notices(); !strings.Contains(said, " s ago (") {
		t.Errorf("said %q", said)
	}
}

// What is kept is verified again: the cache is no authority.
func TestOfflineIndexIsVerified(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	_, err := fetchDebian(t, e, m.config("testing"))
	must(t, err)
	c := m.config("testing")
	c.Keyring = newFakeMirror(t).keyring
	e.Cache.Offline = true
	if _, err := fetchDebian(t, e, c); err == nil || !strings.Contains(err.Error(), "none of its signatures") {
		t.Errorf("error %v", err)
	}
}

func TestOfflineOriginsAskNobody(t *testing.T) {
	image := fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))
	files, askedFiles := counted(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(image) }))
	var askedRegistry atomic.Int32
	registry := newRegistry()
	at, _ := push(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		askedRegistry.Add(1)
		registry.ServeHTTP(w, r)
	}), tarOf(fakeKernel(aRelease, "")...))
	e := newTestEnv(t)
	list := []matrix.Kernel{
		{Name: "u", Source: "url", Config: blob{URL: files.URL + "/bzImage", SHA256: sum(image)}},
		{Name: "o", Source: "oci", Config: ociConfig{Image: at}},
	}
	absent := []matrix.Kernel{
		{Name: "u", Source: "url", Config: blob{URL: files.URL + "/bzImage", SHA256: sum([]byte("x"))}},
		{Name: "o", Source: "oci", Config: ociConfig{Image: at + "-other"}},
		{Name: "g", Source: "gomod", Config: gomodConfig{Module: "example.org/kernel", Version: "v1.0.0", Sum: "h1:x"}},
	}
	for _, k := range list {
		_, err := Fetch(t.Context(), e.Env, k)
		must(t, err)
	}
	before := askedFiles.Load() + askedRegistry.Load()
	e.Cache.Offline = true
	for _, k := range list {
		_, err := Fetch(t.Context(), e.Env, k)
		must(t, err)
	}
	if said := e.notices(); !strings.Contains(said, "offline: "+at+" as it was ") {
		t.Errorf("said %q", said)
	}
	for _, k := range absent {
		_, err := Fetch(t.Context(), e.Env, k)
		wantFailure(t, err, "is not in the cache, and --offline forbids the network")
	}
	if n := askedFiles.Load() + askedRegistry.Load() - before; n != 0 {
		t.Errorf("%d requests came", n)
	}
}

func TestOfflineBuildTakesItsSourceFromTheCache(t *testing.T) {
	b := newBuilder(t, fakeSource())
	m := newFakeMirror(t)
	m.add("linux-source-5.10", "5.10.223-1", "", fakeDeb(tarFile{name: "./usr/src/linux-source-5.10.tar", body: tarball(fakeSource())}))
	m.publish(t, "testing")
	d := m.config("testing")
	d.Package = "linux-source-5.10"
	c := buildConfig{Source: buildOrigin{Debian: &d}, Config: []string{b.config}}
	b.Cache.Offline = true
	_, err := buildSource{}.Fetch(t.Context(), b.Env, c)
	wantFailure(t, err, "an index of suite testing is not in the cache")
	b.Cache.Offline = false
	_, err = buildSource{}.Fetch(t.Context(), b.Env, c)
	must(t, err)
	m.Close()
	b.Cache.Offline = true
	for _, kind := range []string{"build", "tree"} {
		must(t, os.RemoveAll(filepath.Join(b.Cache.Dir(), kind)))
	}
	_, err = buildSource{}.Fetch(t.Context(), b.Env, c)
	must(t, err)
}

func TestWhichErrorsAreThoseOfAnOfflineCache(t *testing.T) {
	if err := fmt.Errorf("about: %w", notInCache("x")); !isOffline(err) || !refused(err) || isOffline(errors.New("x")) {
		t.Error("it is not told, or another one is")
	}
}
