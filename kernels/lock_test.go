package kernels

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

// release puts a version of the cloud kernel into the archive and publishes it;
// the index has it alone.
func (m *fakeMirror) release(t testing.TB, version string) (path string) {
	t.Helper()
	m.index.Reset()
	name := "linux-image-" + version + "-cloud-amd64"
	m.add("linux-image-cloud-amd64", version, name, fakeDeb())
	path = m.add(name, version, "", fakeDeb(fakeKernel(version, "./")...))
	m.publish(t, "testing")
	return path
}

// lockAll locks what entries stand for now and reads the lock again.
func lockAll(t testing.TB, e *testEnv, entries ...matrix.Kernel) *Lock {
	t.Helper()
	l := resolveAll(t, e, true, entries...)
	must(t, l.Save())
	l, err := LoadLock(l.path)
	must(t, err)
	return l
}

func resolveAll(t testing.TB, e *testEnv, get bool, entries ...matrix.Kernel) *Lock {
	t.Helper()
	l, err := NewLock(filepath.Join(t.TempDir(), "matrix.lock"), entries)
	must(t, err)
	for _, entry := range entries {
		list, err := Expand(t.Context(), e.Env, entry)
		must(t, err)
		for _, k := range list {
			pin, err := Resolve(t.Context(), e.Env, k)
			must(t, err)
			if get {
				_, err = FetchPinned(t.Context(), e.Env, k, pin)
				must(t, err)
			}
			must(t, l.Add(entry, k, *pin))
		}
	}
	return l
}

// only is the one kernel that the lock has for an entry.
func only(t testing.TB, l *Lock, entry matrix.Kernel) matrix.Kernel {
	t.Helper()
	list := l.Pinned(entry)
	if len(list) != 1 {
		t.Fatalf("%d kernels for %s", len(list), entry.Name)
	}
	return list[0]
}

func wantFailure(t testing.TB, err error, parts ...string) {
	t.Helper()
	var f *matrix.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v, want a failure", err)
	}
	for _, part := range parts {
		if !strings.Contains(f.Reason+"; "+f.Hint, part) {
			t.Errorf("failure %q, hint %q; want %q", f.Reason, f.Hint, part)
		}
	}
	if strings.Contains(f.Reason+f.Hint, "\n") {
		t.Errorf("more than one line: %q", f.Reason)
	}
}

func debianEntry(m *fakeMirror) matrix.Kernel {
	return matrix.Kernel{Name: "k", Source: "debian", Config: m.config("testing")}
}

func TestLockedKernelStaysWhenTheArchiveMovesOn(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	path := m.release(t, "6.1.9-1")
	entry := debianEntry(m)
	l := lockAll(t, e, entry)
	m.release(t, "6.1.10-1")
	m.takeGets()

	fresh := newTestEnv(t)
	img, err := Fetch(t.Context(), fresh.Env, only(t, l, entry))
	must(t, err)
	if img.Provenance.Version != "6.1.9-1" || img.Provenance.Details["lock"] != "matrix.lock" {
		t.Errorf("provenance %+v", img.Provenance)
	}
	for _, got := range m.takeGets() {
		if !strings.HasPrefix(got, "/pool/") {
			t.Errorf("asked for %s", got)
		}
	}
	img, err = Fetch(t.Context(), fresh.Env, entry)
	must(t, err)
	if img.Provenance.Version != "6.1.10-1" || img.Provenance.Details["lock"] != "" {
		t.Errorf("without the lock: %+v", img.Provenance)
	}

	// Gone from the archive, it is still what the first cache has.
	m.mu.Lock()
	delete(m.files, path)
	m.mu.Unlock()
	img, err = Fetch(t.Context(), e.Env, only(t, l, entry))
	must(t, err)
	if img.Provenance.Version != "6.1.9-1" {
		t.Errorf("from the cache: %+v", img.Provenance)
	}
	_, err = Fetch(t.Context(), newTestEnv(t).Env, only(t, l, entry))
	wantFailure(t, err, "matrix.lock has linux-image-6.1.9-1-cloud-amd64 6.1.9-1, and the archive has it no more", "404",
		"mirror: …, allow_expired: true", "kqual kernels update --write")
}

// The package alone is enough, where what was unpacked from it has gone.
func TestLockedPackageInTheCacheIsUsed(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	entry := debianEntry(m)
	l := lockAll(t, e, entry)
	m.Close()
	must(t, os.RemoveAll(filepath.Join(e.Cache.Dir(), "debian")))
	must(t, os.RemoveAll(filepath.Join(e.Cache.Dir(), "release")))
	_, err := Fetch(t.Context(), e.Env, only(t, l, entry))
	must(t, err)
}

// What a lock has, any archive serves: a snapshot needs no change of the lock.
func TestLockedKernelComesFromAnotherMirror(t *testing.T) {
	m, past, e := newFakeMirror(t), newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	entry := debianEntry(m)
	l := lockAll(t, e, entry)
	text, err := os.ReadFile(l.path)
	must(t, err)
	if bytes.Contains(text, []byte("127.0.0.1")) || !bytes.Contains(text, []byte("path: pool/main/l/linux/linux-image-6.1.9-1-cloud-amd64_6.1.9-1_amd64.deb\n")) {
		t.Errorf("the lock:\n%s", text)
	}
	m.Close()
	for path, data := range m.files {
		if strings.HasPrefix(path, "/pool/") {
			past.set("/archive"+path, data)
		}
	}
	c := entry.Config.(DebianConfig)
	c.Mirror, c.AllowExpired = past.URL+"/archive", true
	entry.Config = c
	if !l.Fits([]matrix.Kernel{entry}) {
		t.Error("the lock is of other entries")
	}
	img, err := Fetch(t.Context(), newTestEnv(t).Env, only(t, l, entry))
	must(t, err)
	if img.Provenance.Version != "6.1.9-1" {
		t.Errorf("provenance %+v", img.Provenance)
	}
}

func TestOtherBytesThanLockedAreRefused(t *testing.T) {
	m := newFakeMirror(t)
	path := m.release(t, "6.1.9-1")
	entry := debianEntry(m)
	l := lockAll(t, newTestEnv(t), entry)
	right := m.files[path]
	for name, data := range map[string][]byte{
		"same size": append(slices.Clone(right[:len(right)-1]), right[len(right)-1]^1),
		"longer":    append(slices.Clone(right), 'x'),
		"shorter":   right[:len(right)-1],
	} {
		t.Run(name, func(t *testing.T) {
			m.set(path, data)
			e := newTestEnv(t)
			_, err := Fetch(t.Context(), e.Env, only(t, l, entry))
			wantFailure(t, err, "linux-image-6.1.9-1-cloud-amd64 6.1.9-1 is not what matrix.lock has", "kqual kernels update --write")
			if left := leftovers(t, e.Cache, "debian"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestLockThatDoesNotFitFailsPerKernel(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	a, b := debianEntry(m), debianEntry(m)
	a.Name, b.Name = "a", "b"
	l := lockAll(t, e, a, b)
	added, changed := debianEntry(m), b
	added.Name = "added"
	c := b.Config.(DebianConfig)
	c.Version = "6.1.9-1"
	changed.Config = c
	if l.Fits([]matrix.Kernel{a, changed, added}) || !l.Fits([]matrix.Kernel{a, b}) {
		t.Error("which entries the lock fits")
	}
	_, err := Fetch(t.Context(), e.Env, only(t, l, a))
	must(t, err)
	_, err = Fetch(t.Context(), e.Env, only(t, l, changed))
	wantFailure(t, err, "matrix.lock was made for another entry of the name b", "kqual kernels update")
	_, err = Fetch(t.Context(), e.Env, only(t, l, added))
	wantFailure(t, err, "matrix.lock has no kernel added", "kqual kernels update")
}

func TestLockedPatternStandsForTheKernelsOfThen(t *testing.T) {
	m, e := manyKernels(t), newTestEnv(t)
	c := m.config("bookworm")
	c.Package, c.Versions = "linux-image-*-cloud-amd64", "<6.2"
	entry := matrix.Kernel{Name: "lts", Source: "debian", Config: c}
	l := lockAll(t, e, entry)
	m.add("linux-image-6.1.11-1-cloud-amd64", "6.1.11-1", "", fakeDeb(fakeKernel("6.1.11-1", "./")...))
	m.publish(t, "bookworm")
	var got []string
	for _, k := range l.Pinned(entry) {
		got = append(got, k.Name)
		if k.Config.(DebianConfig).several() {
			t.Errorf("%s still stands for several", k.Name)
		}
		img, err := Fetch(t.Context(), e.Env, k)
		must(t, err)
		if !strings.HasSuffix(k.Name, img.Provenance.Version) {
			t.Errorf("%s is %s", k.Name, img.Provenance.Version)
		}
	}
	if diff := cmp.Diff([]string{"lts-6.1.9-1", "lts-6.1.10-1"}, got); diff != "" {
		t.Error(diff)
	}
	want := []Change{{Kernel: "lts-6.1.11-1", Kind: ChangeNew, New: "6.1.11-1"}}
	if diff := cmp.Diff(want, l.Compare(resolveAll(t, newTestEnv(t), false, entry))); diff != "" {
		t.Error(diff)
	}
}

func TestCompareNamesWhatTheLockWouldHaveOtherwise(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	a, b := debianEntry(m), debianEntry(m)
	a.Name, b.Name = "a", "b"
	l := lockAll(t, e, a, b)
	if got := l.Compare(resolveAll(t, e, false, a, b)); len(got) > 0 {
		t.Errorf("nothing changed: %+v", got)
	}
	if got := l.Compare(resolveAll(t, e, false, b, a)); len(got) != 1 || got[0].What != "the order of the entries" {
		t.Errorf("another order: %+v", got)
	}
	m.release(t, "6.1.10-1")
	n := debianEntry(m)
	n.Name = "n"
	want := []Change{
		{Kernel: "n", Kind: ChangeNew, New: "6.1.10-1"},
		{Kernel: "a", Kind: ChangeChanged, Old: "6.1.9-1", New: "6.1.10-1", What: "another version"},
		{Kernel: "b", Kind: ChangeGone, Old: "6.1.9-1"},
	}
	if diff := cmp.Diff(want, l.Compare(resolveAll(t, newTestEnv(t), false, n, a))); diff != "" {
		t.Error(diff)
	}
}

func TestLockedBuildIsThatBuild(t *testing.T) {
	b := newBuilder(t, fakeSource())
	patch := writeFile(t, "p.patch", "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,3 @@\n-int a;\n+int patched;\n int a2;\n int a3;\n")
	c := buildConfig{Source: buildOrigin{Tree: b.source}, Config: []string{b.config}, Patches: []string{patch}}
	entry := matrix.Kernel{Name: "k", Source: "build", Config: c}
	l := lockAll(t, b.testEnv, entry)
	k := l.Kernels[0]
	if k.Build == nil || k.Build.Config == "" || !strings.Contains(k.Build.Compiler, "gcc") || k.Version != "5.10.223" {
		t.Errorf("locked %+v, build %+v", k, k.Build)
	}
	img, err := Fetch(t.Context(), b.Env, only(t, l, entry))
	must(t, err)
	if img.Provenance.Details["recipe"] != k.Build.Recipe || img.Provenance.Details["lock"] != "matrix.lock" {
		t.Errorf("provenance %+v", img.Provenance)
	}
	// A build in another cache must be the same, too.
	_, err = Fetch(t.Context(), newTestEnv(t).Env, only(t, l, entry))
	must(t, err)

	must(t, os.WriteFile(patch, []byte("--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,3 @@\n-int a;\n+int other;\n int a2;\n int a3;\n"), 0o644))
	_, err = Fetch(t.Context(), b.Env, only(t, l, entry))
	wantFailure(t, err, "matrix.lock has a build with other config fragments or patches", "kqual kernels update --write")
	if got := l.Compare(resolveAll(t, b.testEnv, false, entry)); len(got) != 1 || got[0].What != "other config fragments or patches" {
		t.Errorf("changes %+v", got)
	}
	l.Kernels[0].Build.Compiler = "gcc 1.0"
	_, err = Fetch(t.Context(), b.Env, only(t, l, entry))
	wantFailure(t, err, "a build by another compiler: gcc 1.0, here is gcc")
}

func TestLockedSourcePackageIsBuilt(t *testing.T) {
	b := newBuilder(t, fakeSource())
	m := newFakeMirror(t)
	source := func(v string) {
		m.index.Reset()
		files := fakeSource()
		files["fs/b.c"] = "int v" + strings.ReplaceAll(v, ".", "_")[:4] + ";\n"
		m.add("linux-source-5.10", v, "", fakeDeb(tarFile{name: "./usr/src/linux-source-5.10.tar", body: tarball(files)}))
		m.publish(t, "testing")
	}
	source("5.10.223-1")
	d := m.config("testing")
	d.Package = "linux-source-5.10"
	entry := matrix.Kernel{Name: "k", Source: "build", Config: buildConfig{Source: buildOrigin{Debian: &d}, Config: []string{b.config}}}
	l := lockAll(t, b.testEnv, entry)
	source("5.10.224-1")
	e := newTestEnv(t)
	img, err := Fetch(t.Context(), e.Env, only(t, l, entry))
	must(t, err)
	if img.Provenance.Version != "5.10.223-1" {
		t.Errorf("built %+v", img.Provenance)
	}
	got := l.Compare(resolveAll(t, newTestEnv(t), false, entry))
	if len(got) != 1 || got[0].Old != "5.10.223-1" || got[0].New != "5.10.224-1" {
		t.Errorf("changes %+v", got)
	}
}

func TestLockedContainerImageIsThatOfThen(t *testing.T) {
	registry := newRegistry()
	at, _ := push(t, registry, tarOf(fakeKernel(aRelease, "")...))
	e := newTestEnv(t)
	entry := matrix.Kernel{Name: "k", Source: "oci", Config: ociConfig{Image: at}}
	l := lockAll(t, e, entry)
	if l.Kernels[0].Digest == "" {
		t.Fatalf("locked %+v", l.Kernels[0])
	}
	repush(t, at, tarOf(fakeKernel("6.99.0", "")...))
	img, err := Fetch(t.Context(), newTestEnv(t).Env, only(t, l, entry))
	must(t, err)
	isKernel(t, img, "oci", true)
	got := l.Compare(resolveAll(t, e, false, entry))
	if len(got) != 1 || !strings.HasPrefix(got[0].What, "another image: sha256:") {
		t.Errorf("changes %+v", got)
	}
	l.Kernels[0].Digest = "sha256:" + sum(nil)
	_, err = Fetch(t.Context(), newTestEnv(t).Env, only(t, l, entry))
	wantFailure(t, err, "locked as sha256:e3b0c442", "kqual kernels update --write")
}

func TestLockedFileThatWasReplacedIsRefused(t *testing.T) {
	path := writeFile(t, "vmlinuz", string(fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))))
	e := newTestEnv(t)
	entry := matrix.Kernel{Name: "k", Source: "file", Config: fileConfig{Vmlinuz: path}}
	l := lockAll(t, e, entry)
	_, err := Fetch(t.Context(), e.Env, only(t, l, entry))
	must(t, err)
	must(t, os.WriteFile(path, fakeBzImage("6.99", gzipped(fakeVmlinux(true))), 0o644))
	_, err = Fetch(t.Context(), e.Env, only(t, l, entry))
	wantFailure(t, err, "wrong hash", "matrix.lock has", "kqual kernels update --write")
}

func TestLockOfFilesNamedByHash(t *testing.T) {
	image := fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))
	e := newTestEnv(t)
	url := matrix.Kernel{Name: "u", Source: "url", Config: blob{URL: serve(t, image) + "/bzImage", SHA256: sum(image)}}
	pkg := fakeDeb(fakeKernel(aRelease, "./")...)
	deb := matrix.Kernel{Name: "d", Source: "deb", Config: packageFiles{Packages: []blob{{Path: writeFile(t, "k.deb", string(pkg)), SHA256: sum(pkg)}}}}
	l := lockAll(t, e, url, deb)
	if f := l.Kernels[0].Files[0]; f.Size != int64(len(image)) || f.SHA256 != sum(image) {
		t.Errorf("file %+v", f)
	}
	for _, entry := range []matrix.Kernel{url, deb} {
		_, err := Fetch(t.Context(), e.Env, only(t, l, entry))
		must(t, err)
	}
	l.Kernels[0].Image = sum(nil)
	_, err := Fetch(t.Context(), e.Env, only(t, l, url))
	wantFailure(t, err, "wrong hash")
}

func TestLockIsReadStrictly(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	l := lockAll(t, e, debianEntry(m))
	good, err := os.ReadFile(l.path)
	must(t, err)
	must(t, l.Save())
	again, err := os.ReadFile(l.path)
	must(t, err)
	if !bytes.Equal(good, again) {
		t.Errorf("a lock that is read and written differs:\n%s", cmp.Diff(string(good), string(again)))
	}
	for _, test := range []struct{ from, to, want string }{
		{"version: 1\n", "version: 2\n", "this kqual reads version 1"},
		{"version: 1\n", "version: 1\nextra: x\n", "unknown key"},
		{"name: k\n", "name: ../k\n", "is no kernel of the entry"},
		{"name: k\n", "name: k-/etc\n", "is no kernel of the entry"},
		{"path: pool/", "path: ../pool/", "is no package of an archive"},
		{"image_sha256: ", "image_sha256: x", "is no sha256"},
		{"entries_sha256", "entry_sha256", "is missing"},
		{"suite: testing\n", "", "needs suite and files"},
		{"version: 1\n", "version: 1\n\tx", "not valid YAML"},
	} {
		if !bytes.Contains(good, []byte(test.from)) {
			t.Fatalf("no %q in\n%s", test.from, good)
		}
		path := writeFile(t, "matrix.lock", strings.Replace(string(good), test.from, test.to, 1))
		if strings.HasSuffix(test.from, "suite: testing\n") {
			path = writeFile(t, "matrix.lock", strings.Replace(string(good), "    suite: testing\n", "", 1))
		}
		_, err := LoadLock(path)
		var p *matrix.ParseError
		if !errors.As(err, &p) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q → %q: error %v, want %q", test.from, test.to, err, test.want)
		}
	}
	if _, err := LoadLock(writeFile(t, "matrix.lock", "")); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("empty: %v", err)
	}
	if _, err := LoadLock(filepath.Join(t.TempDir(), "matrix.lock")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "kqual kernels lock makes it") {
		t.Errorf("missing: %v", err)
	}
	if got := LockPath("a.b/my.matrix.yaml"); got != "a.b/my.matrix.lock" {
		t.Errorf("path %q", got)
	}
}

func TestEntryHashIsOfWhatAnEntrySaysOfItsKernels(t *testing.T) {
	hash := func(k matrix.Kernel) string {
		t.Helper()
		h, err := EntryHash(k)
		must(t, err)
		return h
	}
	base := matrix.Kernel{Name: "k", Source: "debian", Config: DebianConfig{Suite: "sid", Package: "p"}}
	for what, same := range map[string]any{
		"mirror":  DebianConfig{Suite: "sid", Package: "p", Mirror: "http://example.org", AllowExpired: true},
		"keyring": DebianConfig{Suite: "sid", Package: "p", Keyring: "k.gpg"},
	} {
		k := base
		k.Config, k.Line, k.Machine.VCPUs = same, 7, 8
		if hash(k) != hash(base) {
			t.Errorf("%s makes another entry", what)
		}
	}
	for what, other := range map[string]DebianConfig{
		"suite":   {Suite: "forky", Package: "p"},
		"version": {Suite: "sid", Package: "p", Version: "1"},
		"track":   {Suite: "sid", Package: "p", Track: "latest"},
	} {
		k := base
		k.Config = other
		if hash(k) == hash(base) {
			t.Errorf("another %s makes the same entry", what)
		}
	}
	url := matrix.Kernel{Name: "u", Source: "url", Config: blob{URL: "http://a", SHA256: "1"}}
	moved, altered := url, url
	moved.Config, altered.Config = blob{URL: "http://b", SHA256: "1"}, blob{URL: "http://a", SHA256: "2"}
	if hash(moved) != hash(url) || hash(altered) == hash(url) {
		t.Error("which files are the same")
	}
	// The form is fixed: a lock outlives the kqual that wrote it.
	const fixed = "4ba48e1c"
	if got := hash(base)[:8]; got != fixed {
		t.Errorf("the hash of an entry is %s…, was %s…", got, fixed)
	}
}
