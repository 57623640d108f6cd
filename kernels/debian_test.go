package kernels

import (
	"archive/tar"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

const testRelease = "5.10.0-32-cloud-amd64"

// oneKernel is a mirror with a suite that holds a meta package and its kernel.
func oneKernel(t testing.TB) *fakeMirror {
	m := newFakeMirror(t)
	addKernel(m)
	m.publish(t, "testing")
	return m
}

func addKernel(m *fakeMirror) (kernelPath string) {
	m.add("linux-image-cloud-amd64", "5.10.223-1", "linux-image-"+testRelease+" (= 5.10.223-1)", fakeDeb())
	return m.add("linux-image-"+testRelease, "5.10.223-1", "kmod, linux-base (>= 4.3~), initramfs-tools | linux-initramfs-tool", fakeDeb(fakeKernel(testRelease, "./")...))
}

func fetchDebian(t testing.TB, e *testEnv, c DebianConfig) (*Image, error) {
	t.Helper()
	return debianSource{}.Fetch(context.Background(), e.Env, c)
}

func TestFetchFollowsAMetaPackageToItsKernel(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	img, err := fetchDebian(t, e, m.config("testing"))
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Verify(); err != nil {
		t.Error(err)
	}
	if img.Release != testRelease {
		t.Errorf("release %q", img.Release)
	}
	if img.Vmlinux == "" || len(img.Hashes) != 2 {
		t.Errorf("no vmlinux: %+v", img)
	}
	p := img.Provenance
	if p.Source != "debian" || p.Version != "5.10.223-1" || p.Arch != "amd64" || p.SHA256 != img.Hashes[img.Vmlinuz] {
		t.Errorf("provenance %+v", p)
	}
	if p.Config["SMP"] != "y" || p.Config["HZ"] != "250" || len(p.Config) != 2 {
		t.Errorf("config %v", p.Config)
	}
	for key, want := range map[string]string{"suite": "testing", "package": "linux-image-cloud-amd64", "mirror": m.URL} {
		if p.Details[key] != want {
			t.Errorf("details: %s is %q, want %q", key, p.Details[key], want)
		}
	}
	order, err := LoadOrder(img.Modules, []string{"xfs", "ext4"})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(order.Modules); !slices.Equal(got, []string{"libcrc32c", "xfs"}) || !slices.Equal(order.Missing, []string{"ext4"}) {
		t.Errorf("order %v, missing %v", got, order.Missing)
	}
	for _, name := range []string{"kernel/sound/soundcore.ko", "System.map"} {
		if _, err := os.Stat(filepath.Join(img.Modules, name)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
	if left := leftovers(t, e.Cache); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchFollowsASplitKernel(t *testing.T) {
	// The layout of Debian's 7.3.4: vmlinuz, modules and config in packages of
	// their own, the image package a stub.
	const release = "7.3.4+deb14-cloud-amd64"
	m, e := newFakeMirror(t), newTestEnv(t)
	lib := "./usr/lib/modules/" + release + "/"
	m.add("linux-image-cloud-amd64", "7.3.4-1", "linux-base-cloud-amd64 (= 7.3.4-1), linux-image-"+release+" (= 7.3.4-1), linux-modules-cloud-amd64 (= 7.3.4-1)", fakeDeb())
	m.add("linux-base-cloud-amd64", "7.3.4-1", "linux-base-"+release+" (= 7.3.4-1)", fakeDeb())
	m.add("linux-modules-cloud-amd64", "7.3.4-1", "linux-modules-"+release+" (= 7.3.4-1)", fakeDeb())
	m.add("linux-image-"+release, "7.3.4-1", "dracut | linux-initramfs-tool, linux-binary-"+release+" (= 7.3.4-1) | linux-binary-"+release+"-unsigned, linux-modules-"+release, fakeDeb())
	m.add("linux-base-"+release, "7.3.4-1", "linux-base (>= 4.12~)", fakeDeb(tarFile{name: "./boot/config-" + release, body: []byte("CONFIG_SMP=y\n")}))
	m.add("linux-binary-"+release+"-unsigned", "7.3.4-1", "", fakeDeb(tarFile{name: lib + "vmlinuz", body: fakeBzImage(release, gzipped(fakeVmlinux(true)))}))
	m.add("linux-modules-"+release, "7.3.4-1", "", fakeDeb(tarFile{name: lib + "kernel/fs/fuse/fuse.ko", body: fakeModule("depends=")}))
	m.publish(t, "testing")
	img, err := fetchDebian(t, e, m.config("testing"))
	if err != nil {
		t.Fatal(err)
	}
	if img.Release != release || img.Vmlinux == "" || img.Provenance.Config["SMP"] != "y" {
		t.Errorf("image %+v", img)
	}
	if !strings.HasPrefix(filepath.Base(img.Provenance.Details["file"]), "linux-binary-") {
		t.Errorf("the kernel's package is %q", img.Provenance.Details["file"])
	}
	order, err := LoadOrder(img.Modules, []string{"fuse"})
	if err != nil || len(order.Modules) != 1 {
		t.Errorf("order %v, %v", order, err)
	}
}

func TestFetchTakesTheNewestOrThePinnedVersion(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	for _, v := range []string{"6.1.9-1", "6.1.10-1", "6.1.10~rc1-1"} {
		release := "6.1.0-" + v
		m.add("linux-image-cloud-amd64", v, "linux-image-6.1.0 (= "+v+")", fakeDeb())
		m.add("linux-image-6.1.0", v, "", fakeDeb(fakeKernel(release, "./usr/")...))
	}
	m.publish(t, "testing")
	for pinned, want := range map[string]string{"": "6.1.10-1", "6.1.9-1": "6.1.9-1", "6.1.10~rc1-1": "6.1.10~rc1-1"} {
		c := m.config("testing")
		c.Version = pinned
		img, err := fetchDebian(t, e, c)
		if err != nil {
			t.Fatal(err)
		}
		if img.Provenance.Version != want || img.Release != "6.1.0-"+want {
			t.Errorf("pinned %q: version %s, release %s", pinned, img.Provenance.Version, img.Release)
		}
	}
}

func TestWarmFetchDownloadsNothing(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	cold, err := fetchDebian(t, e, m.config("testing"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.takeGets(); len(got) != 4 {
		t.Errorf("a cold fetch got %v", got)
	}
	e.Cache.fresh = 0 // ask the mirror, which answers 304
	warm, err := fetchDebian(t, e, m.config("testing"))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.takeGets(); len(got) != 0 {
		t.Errorf("a warm fetch got %v", got)
	}
	if warm.Vmlinuz != cold.Vmlinuz || warm.Vmlinux != cold.Vmlinux {
		t.Errorf("warm %+v, cold %+v", warm, cold)
	}

	m.Close()
	e.events = nil
	if _, err := fetchDebian(t, e, m.config("testing")); err != nil {
		t.Fatalf("without a network: %v", err)
	}
	if len(e.events) != 1 || !strings.HasPrefix(e.events[0].Step, "use the copy of ") {
		t.Errorf("events without a network: %v", e.events)
	}
}

func TestFreshReleaseIsNotAskedForAgain(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	if _, err := fetchDebian(t, e, m.config("testing")); err != nil {
		t.Fatal(err)
	}
	m.handle("/dists/testing/InRelease", func(http.ResponseWriter, *http.Request) { t.Error("asked again") })
	if _, err := fetchDebian(t, e, m.config("testing")); err != nil {
		t.Fatal(err)
	}
}

func TestDiscardedImageIsMadeAgain(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	img, err := fetchDebian(t, e, m.config("testing"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{img.Vmlinuz, img.Vmlinux} {
		alterUnseen(t, path)
		if img, err = fetchDebian(t, e, m.config("testing")); err != nil {
			t.Fatal(err)
		}
		if err := img.Verify(); err == nil {
			t.Fatalf("%s was altered and Verify says nothing", filepath.Base(path))
		}
		if err := e.Cache.Discard(img); err != nil {
			t.Fatal(err)
		}
		if img, err = fetchDebian(t, e, m.config("testing")); err != nil {
			t.Fatal(err)
		}
		if err := img.Verify(); err != nil {
			t.Errorf("%s is still altered: %v", filepath.Base(path), err)
		}
	}
}

// alterUnseen changes a file so that size, time and inode stay as they were.
func alterUnseen(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

func TestFetchRefusesWhatItCannotTrust(t *testing.T) {
	const inRelease, packages = "/dists/testing/InRelease", "/dists/testing/main/binary-amd64/Packages.gz"
	replace := func(old, new string) func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
		return func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.set(inRelease, []byte(strings.Replace(string(m.files[inRelease]), old, new, 1)))
		}
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig)
		want  string
	}{
		{"package of another hash", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			data := slices.Clone(m.files[kernel])
			data[len(data)-1] ^= 1
			m.set(kernel, data)
		}, "wrong hash"},
		{"package cut off", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.set(kernel, m.files[kernel][:100])
		}, "truncated: 100 of"},
		{"connection cut off", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.handle(kernel, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "5000")
				w.Write(make([]byte, 10))
			})
		}, "unexpected EOF"},
		{"package without an end", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.handle(kernel, endless)
		}, "goes on after the"},
		{"InRelease without an end", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.handle(inRelease, endless)
		}, "more than 8388608 bytes"},
		{"package not there", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.handle(kernel, http.NotFound)
		}, "404 Not Found"},
		{"altered index", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			data := slices.Clone(m.files[packages])
			data[len(data)-1] ^= 1
			m.set(packages, data)
		}, "wrong hash"},
		{"altered release", replace("Origin: Debian", "Origin: Debial"), "bad signature"},
		{"damaged signature", replace("-----BEGIN PGP SIGNATURE-----\n\n", "-----BEGIN PGP SIGNATURE-----\n\nAAAA"), "signature is damaged"},
		{"no signature", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.set(inRelease, []byte("Suite: testing\n"))
		}, "carries no signature"},
		{"foreign key", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Keyring = writeKeyring(t, newKey(t, 0))
		}, "none of its signatures was made by a key of"},
		{"no keyring", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Keyring = "/nonexistent/keyring.gpg"
		}, "no keyring to verify the archive with"},
		{"broken keyring", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Keyring = filepath.Join(t.TempDir(), "keyring")
			os.WriteFile(c.Keyring, []byte("hello"), 0o644)
		}, "read keyring"},
		{"expired", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.publish(t, "testing", "Valid-Until: Fri, 09 Jan 2026 03:04:05 UTC")
		}, "(Valid-Until 2026-01-09)"},
		{"another suite", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.set("/dists/other/InRelease", m.files[inRelease])
			c.Suite = "other"
		}, `it is of suite "testing"`},
		{"unknown suite", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Suite = "testnig"
		}, "no suite testnig"},
		{"unknown package", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Package = "linux-image-clod-amd64"
		}, `did you mean "linux-image-cloud-amd64"?`},
		{"unknown version", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			c.Version = "5.10.1-1"
		}, "in version 5.10.223-1, not 5.10.1-1"},
		{"path traversal", spoiled(tarFile{name: "./../../../../tmp/vmlinuz-evil", body: []byte("x")}), "outside its root"},
		{"absolute path", spoiled(tarFile{name: "/boot/vmlinuz-evil", body: []byte("x")}), "outside its root"},
		{"nothing but links and devices", spoiled(
			tarFile{name: "./boot/vmlinuz-1", kind: tar.TypeSymlink, link: "/etc/passwd"},
			tarFile{name: "./boot/vmlinuz-2", kind: tar.TypeLink, link: "/etc/passwd"},
			tarFile{name: "./boot/vmlinuz-3", kind: tar.TypeBlock},
		), "no vmlinuz in linux-image-"},
		{"no kernel image", spoiled(tarFile{name: "./boot/vmlinuz-1", body: []byte("MZ")}), "not an x86 kernel image"},
		{"no package", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.index.Reset()
			m.add("linux-image-cloud-amd64", "1", "", []byte("<html>not found</html>"))
			m.publish(t, "testing")
		}, "no Debian package: it is no ar archive"},
		{"server error", func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
			m.handle(inRelease, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		}, "502 Bad Gateway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, e := newFakeMirror(t), newTestEnv(t)
			kernel := addKernel(m)
			m.publish(t, "testing")
			c := m.config("testing")
			tt.spoil(t, m, kernel, &c)
			img, err := fetchDebian(t, e, c)
			if err == nil {
				t.Fatalf("no error; image %+v", img)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want … %q …", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
			var f *matrix.Failure
			if !errors.As(err, &f) || f.Hint == "" {
				t.Errorf("error %q has no hint", err)
			}
			if left := leftovers(t, e.Cache, "vmlinux"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func spoiled(files ...tarFile) func(*testing.T, *fakeMirror, string, *DebianConfig) {
	return func(t *testing.T, m *fakeMirror, kernel string, c *DebianConfig) {
		m.index.Reset()
		m.add("linux-image-cloud-amd64", "1", "", fakeDeb(files...))
		m.publish(t, "testing")
	}
}

func TestReplayedReleaseIsRefused(t *testing.T) {
	m := newFakeMirror(t)
	m.add("linux-image-cloud-amd64", "6.1.1-1", "", fakeDeb(fakeKernel("6.1.1", "./")...))
	m.publish(t, "bookworm") // of 2 January
	inRelease := "/dists/bookworm/InRelease"
	m.mu.Lock()
	old := string(m.files[inRelease])
	m.mu.Unlock()
	text, err := verifyClearsigned([]byte(old), m.keyring, false)
	must(t, err)
	dated := func(date string) {
		m.set(inRelease, m.sign(t, strings.Replace(string(text), "Fri, 02 Jan 2026", date, 1)))
		m.handle(inRelease, func(w http.ResponseWriter, _ *http.Request) { // never 304
			m.mu.Lock()
			defer m.mu.Unlock()
			w.Write(m.files[inRelease])
		})
	}
	e, c := newTestEnv(t), m.config("bookworm")
	e.Cache.fresh = 0
	fetch := func() error {
		_, err := debianSource{}.Fetch(t.Context(), e.Env, c)
		return err
	}
	dated("Sat, 03 Jan 2026")
	must(t, fetch())
	dated("Fri, 02 Jan 2026")
	for range 2 { // what was refused did not become what later ones are compared with
		var f *matrix.Failure
		if err := fetch(); !errors.As(err, &f) || !strings.Contains(f.Reason, "is of 2026-01-02 03:04:05, and older than what it was before, of 2026-01-03 03:04:05") || !strings.Contains(f.Hint, "allow_expired: true") {
			t.Errorf("error %v", err)
		}
	}
	c.AllowExpired = true
	must(t, fetch())
	c.AllowExpired = false
	dated("Sun, 04 Jan 2026")
	must(t, fetch())
}

func TestExpiredReleaseCanBeAllowed(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	addKernel(m)
	m.publish(t, "testing", "Valid-Until: Fri, 09 Jan 2026 03:04:05 UTC")
	c := m.config("testing")
	c.AllowExpired = true
	if _, err := fetchDebian(t, e, c); err != nil {
		t.Fatal(err)
	}
	c.AllowExpired = false
	if _, err := fetchDebian(t, e, c); err == nil {
		t.Error("what was allowed once stays allowed")
	}
}

// A snapshot archive has the state of each moment below a URL of its own.
func TestSnapshotArchiveGivesTheKernelOfAMoment(t *testing.T) {
	mux := http.NewServeMux()
	archive := httptest.NewServer(mux)
	defer archive.Close()
	keyring := map[string]string{}
	at := func(path, suite, version string) {
		m := newFakeMirror(t)
		m.add("linux-image-"+version+"-cloud-amd64", version+"-1", "", fakeDeb(fakeKernel(version, "./")...))
		m.publish(t, suite, "Valid-Until: Sat, 08 Jan 2022 00:00:00 UTC")
		mux.Handle(path+"/", http.StripPrefix(path, m))
		keyring[path] = m.keyring
	}
	const before, after = "20220115T000000Z", "20220301T000000Z"
	at("/archive/debian/"+before, "sid", "5.15.15")
	at("/archive/debian/"+after, "sid", "5.16.7")
	at("/archive/debian-security/"+before, "bullseye-security", "5.10.92")
	e := newTestEnv(t)
	fetch := func(suite, moment, packages, keys string, expired bool) (*Image, error) {
		return debianSource{}.Fetch(t.Context(), e.Env, DebianConfig{
			Suite: suite, Package: packages, Track: trackLatest, Snapshot: moment, Keyring: keyring[keys+moment], AllowExpired: expired,
		})
	}
	t.Setenv(snapshotVariable, "")
	_, err := fetch("sid", before, "linux-image-5.15.*-cloud-amd64", "/archive/debian/", true)
	if !refused(err) || err.Error() != "suite sid of 20220115T000000Z is in a snapshot archive, and KQUAL_DEBIAN_SNAPSHOT names none" {
		t.Errorf("without an archive: %v", err)
	}
	t.Setenv(snapshotVariable, archive.URL+"/archive/debian/")
	for _, test := range []struct{ suite, moment, packages, keys, release string }{
		{"sid", before, "linux-image-5.15.*-cloud-amd64", "/archive/debian/", "5.15.15"},
		{"sid", after, "linux-image-5.16.*-cloud-amd64", "/archive/debian/", "5.16.7"},
		{"bullseye-security", before, "linux-image-5.10.*-cloud-amd64", "/archive/debian-security/", "5.10.92"},
	} {
		if _, err := fetch(test.suite, test.moment, test.packages, test.keys, false); !refused(err) || !strings.Contains(err.Error(), "(Valid-Until 2022-01-08)") {
			t.Errorf("%s: expired, and %v", test.suite, err)
		}
		img, err := fetch(test.suite, test.moment, test.packages, test.keys, true)
		must(t, err)
		want(t, "release", img.Release, test.release)
		want(t, "mirror", img.Provenance.Details["mirror"], archive.URL+test.keys+test.moment)
	}
	// A moment that the archive does not have costs that kernel.
	_, err = fetch("sid", "20010101T000000Z", "linux-image-amd64", "/archive/debian/", true)
	if !refused(err) || !strings.Contains(err.Error(), "no suite sid") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
}

func TestOneGoodSignatureIsEnough(t *testing.T) {
	old, good := newKey(t, time.Hour), newKey(t, 0)
	m, e := newFakeMirror(t, old, good), newTestEnv(t)
	addKernel(m)
	m.publish(t, "testing")
	c := m.config("testing")
	if _, err := fetchDebian(t, e, c); err != nil {
		t.Errorf("an expired key first: %v", err)
	}

	c.Keyring = filepath.Join(t.TempDir(), "keyring.asc")
	if err := os.WriteFile(c.Keyring, []byte(armored(t, good)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetchDebian(t, newTestEnv(t), c); err != nil {
		t.Errorf("an unknown key first, armored keyring: %v", err)
	}

	c.Keyring = writeKeyring(t, old)
	if _, err := fetchDebian(t, newTestEnv(t), c); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("only an expired key: %v", err)
	}
	c.AllowExpired = true
	if _, err := fetchDebian(t, newTestEnv(t), c); err != nil {
		t.Errorf("only an expired key, allowed: %v", err)
	}
}

func TestOldSuiteIsFoundInTheArchiveOfOldReleases(t *testing.T) {
	archive := oneKernel(t)
	mirror := newFakeMirror(t)
	t.Setenv("KQUAL_DEBIAN_MIRROR", mirror.URL+"/")
	t.Setenv("KQUAL_DEBIAN_ARCHIVE", archive.URL)
	c := archive.config("testing")
	c.Mirror = ""
	img, err := fetchDebian(t, newTestEnv(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Provenance.Details["mirror"]; got != archive.URL {
		t.Errorf("mirror %q", got)
	}

	// The index is still on the mirror, the packages are not.
	for path, data := range archive.files {
		if strings.HasPrefix(path, "/dists/") {
			mirror.set(path, data)
		}
	}
	if _, err := fetchDebian(t, newTestEnv(t), c); err != nil {
		t.Errorf("pool in the archive: %v", err)
	}

	archive.Close()
	c.Suite = "testnig"
	_, err = fetchDebian(t, newTestEnv(t), c)
	if err == nil || !strings.Contains(err.Error(), "no suite testnig: get "+mirror.URL+"/dists/testnig/InRelease: 404 Not Found") {
		t.Errorf("archive out of reach: %v", err)
	}
}

func TestSecuritySuitesHaveTheirOwnMirror(t *testing.T) {
	m := newFakeMirror(t)
	addKernel(m)
	m.publish(t, "bullseye-security")
	t.Setenv("KQUAL_DEBIAN_MIRROR", "http://127.0.0.1:1/wrong")
	t.Setenv("KQUAL_DEBIAN_SECURITY_MIRROR", m.URL)
	c := m.config("bullseye-security")
	c.Mirror = ""
	if _, err := fetchDebian(t, newTestEnv(t), c); err != nil {
		t.Error(err)
	}
}

func TestIndexIsFetchedByHashWhereOffered(t *testing.T) {
	m := newFakeMirror(t)
	addKernel(m)
	m.publish(t, "testing", "Acquire-By-Hash: yes")
	const named = "/dists/testing/main/binary-amd64/Packages.gz"
	m.set("/dists/testing/main/binary-amd64/by-hash/SHA256/"+sum(m.files[named]), m.files[named])
	good := m.files[named]
	m.set(named, []byte("already the next one"))
	if _, err := fetchDebian(t, newTestEnv(t), m.config("testing")); err != nil {
		t.Error(err)
	}
	m.set(named, good)
	m.handle("/dists/testing/main/binary-amd64/by-hash/SHA256/"+sum(good), http.NotFound)
	if _, err := fetchDebian(t, newTestEnv(t), m.config("testing")); err != nil {
		t.Errorf("by-hash is not there: %v", err)
	}
}

func TestMirrorPasswordIsNotShown(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	c := m.config("testing")
	c.Mirror = strings.Replace(m.URL, "http://", "http://user:hunter2@", 1)
	img, err := fetchDebian(t, e, c)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range img.Provenance.Details {
		if strings.Contains(value, "user") || strings.Contains(value, "hunter2") {
			t.Errorf("%s shows %q", key, value)
		}
	}
	err = filepath.WalkDir(e.Cache.Dir(), func(path string, d os.DirEntry, err error) error {
		if strings.Contains(path, "hunter2") {
			t.Errorf("file name %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Suite = "nowhere"
	if _, err := fetchDebian(t, e, c); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestCancelledFetchLeavesNothing(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	kernel := addKernel(m)
	m.publish(t, "testing")
	ctx, cancel := context.WithCancel(context.Background())
	m.handle(kernel, func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 10))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if _, err := (debianSource{}).Fetch(ctx, e.Env, m.config("testing")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := leftovers(t, e.Cache, "debian", "vmlinux"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetchDebianPackageGivesTheVerifiedFile(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	deb := fakeDeb(tarFile{name: "./usr/src/linux-source-5.10.tar.xz", body: []byte("source")})
	m.add("linux-source-5.10", "5.10.223-1", "", deb)
	m.publish(t, "testing")
	c := m.config("testing")
	c.Package = "linux-source-5.10"
	path, pkg, err := FetchDebianPackage(context.Background(), e.Env, c)
	if err != nil {
		t.Fatal(err)
	}
	if pkg.Version != "5.10.223-1" || pkg.SHA256 != sum(deb) {
		t.Errorf("package %+v", pkg)
	}
	dst := t.TempDir()
	if err := ExtractDeb(path, func(name string) bool { return strings.HasSuffix(name, ".tar.xz") }, dst); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(filepath.Join(dst, "usr/src/linux-source-5.10.tar.xz")); string(data) != "source" {
		t.Errorf("unpacked %q", data)
	}
}

func TestDecodeDebian(t *testing.T) {
	for text, want := range map[string]string{
		"{suite: bullseye, package: linux-image-cloud-amd64}":                   "",
		"{suite: bullseye, package: linux, version: 5.10, allow_expired: true}": "",
		"{suite: bullseye}":                                "debian.package: is missing",
		"{suite: bullseye, package: linux, pakage: x}":     "unknown key",
		"{suite: ../../x, package: linux}":                 "debian.suite: ",
		"{suite: bullseye, package: linux, mirror: ftp:x}": "debian.mirror: ",
	} {
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		_, problems := debianSource{}.Catalog().Decode(node.Content[0], "debian")
		got := (&matrix.ParseError{Problems: problems}).Error()
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want … %q …", text, got, want)
		}
	}
}

func names(modules []Module) []string {
	var out []string
	for _, m := range modules {
		out = append(out, m.Name)
	}
	return out
}
