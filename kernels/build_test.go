package kernels

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

// fakeMakefile builds a kernel as far as kqual looks: allnoconfig keeps the
// options that Kconfig has, objects are copies of their sources, the image
// carries the release and the objects. BROKEN does not compile; HANG never
// ends; STUBBORN does not even when it is asked to.
const fakeMakefile = `
RELEASE = 5.10.223$(shell cat localversion*)
objects = fs/a.o fs/b.o

allnoconfig:
	@while read -r line; do \
		name=$${line#'# '}; name=$${name%%[= ]*}; \
		if grep -qx "config $${name#CONFIG_}" Kconfig; then echo "$$line"; fi; \
	done < $(KCONFIG_ALLCONFIG) > .config
	@echo configured >> done.log

%.o: %.c include/a.h
	@echo "  CC      $@"
	@echo half > $@
	@if grep -q HANG $<; then echo $$$$ > hangs; sleep 1000; fi
	@if grep -q STUBBORN $<; then trap '' TERM; echo $$$$ > hangs; while :; do sleep 1; done; fi
	@if grep -q BROKEN $<; then rm $@; echo "$<:1:1: error: broken"; echo "note: in error.o"; exit 1; fi
	@cp $< $@
	@echo $@ >> done.log

bzImage: $(objects)
	@mkdir -p arch/x86/boot
	@{ cat head; printf '%-255s\0' "$(RELEASE)"; cat tail $(objects) $(wildcard fs/new.c); } > arch/x86/boot/bzImage
`

// fakeSource are the files of the fake source tree.
func fakeSource() map[string]string {
	image := string(fakeBzImage("RELEASE", gzipped(fakeVmlinux(true))))
	return map[string]string{
		"Makefile": fakeMakefile, "Kconfig": "config SMP\nconfig HZ\nconfig TMPFS\n",
		"head": image[:0x300], "tail": image[0x400:], // the release stands between them
		"fs/a.c": "int a;\nint a2;\nint a3;\n", "fs/b.c": "int b;\n", "include/a.h": "header\n",
		"scripts/tool": "#!/bin/sh\n", // patched in a test; executable
	}
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "scripts/") {
			mode = 0o755
		}
		must(t, os.WriteFile(path, []byte(body), mode))
	}
	return dir
}

// writeFile puts a file of the user's into a directory of its own.
func writeFile(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(body), 0o644))
	return path
}

func tarball(files map[string]string) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: "linux-5.10/" + name, Mode: 0o644, Size: int64(len(body))}); err != nil {
			panic(err)
		}
		w.Write([]byte(body))
	}
	w.Close()
	return buf.Bytes()
}

// builder builds variants of one fake tree.
type builder struct {
	*testEnv
	t      *testing.T
	source string
	config string
}

func newBuilder(t *testing.T, files map[string]string) *builder {
	t.Helper()
	if programs, _ := MissingBuildTools(); len(programs) > 0 {
		t.Skipf("no %s here", strings.Join(programs, ", "))
	}
	return &builder{
		testEnv: newTestEnv(t), t: t, source: writeTree(t, files),
		config: writeFile(t, "fake.config", "CONFIG_SMP=y\nCONFIG_HZ=250\n# CONFIG_XFS is not set\n"),
	}
}

func (b *builder) fetch(ctx context.Context, patches ...string) (*Image, error) {
	return buildSource{}.Fetch(ctx, b.Env, buildConfig{
		Source: buildOrigin{Tree: b.source}, Config: []string{b.config}, Patches: patches,
	})
}

func (b *builder) build(patches ...string) *Image {
	b.t.Helper()
	img, err := b.fetch(b.t.Context(), patches...)
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

func (b *builder) fails(patches ...string) *matrix.Failure {
	b.t.Helper()
	_, err := b.fetch(b.t.Context(), patches...)
	var f *matrix.Failure
	if !errors.As(err, &f) {
		b.t.Fatalf("error %v, want a *matrix.Failure", err)
	}
	return f
}

// tree is the directory of the only tree.
func (b *builder) tree() string {
	b.t.Helper()
	trees, _ := filepath.Glob(filepath.Join(b.Cache.Dir(), "tree", "*"))
	if len(trees) != 1 {
		b.t.Fatalf("%d trees", len(trees))
	}
	return trees[0]
}

// did lists what make did since the last call.
func (b *builder) did() []string {
	b.t.Helper()
	log := filepath.Join(b.tree(), "src", "done.log")
	data, err := os.ReadFile(log)
	if err != nil {
		return nil
	}
	must(b.t, os.Remove(log))
	lines := strings.Fields(string(data))
	slices.Sort(lines)
	return lines
}

// steps lists the first words of the steps since the last call.
func (b *builder) steps() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var steps []string
	for _, e := range b.events {
		if !e.End {
			word, _, _ := strings.Cut(e.Step, " ")
			steps = append(steps, word)
		}
	}
	b.events = nil
	return steps
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	patchA = `A header.

--- a/fs/a.c
+++ b/fs/a.c
@@ -1,3 +1,3 @@
 int a;
-int a2;
+int patched;
 int a3;
`
	patchOnTop = `--- a/fs/a.c
+++ b/fs/a.c
@@ -1,3 +1,4 @@
 int a;
 int patched;
 int a3;
+int a4;
`
	patchNew = `diff --git a/fs/new.c b/fs/new.c
new file mode 100644
--- /dev/null
+++ b/fs/new.c
@@ -0,0 +1 @@
+int new;
diff --git a/scripts/tool b/scripts/tool
--- a/scripts/tool
+++ b/scripts/tool
@@ -1 +1,2 @@
 #!/bin/sh
+true
`
)

func TestBuildFromEverySource(t *testing.T) {
	b := newBuilder(t, fakeSource())
	archive := tarball(fakeSource())
	path := writeFile(t, "linux-5.10.tar", string(archive))
	m := newFakeMirror(t)
	m.add("linux-source-5.10", "5.10.223-1", "", fakeDeb(
		tarFile{name: "./usr/src/linux-source-5.10.tar", body: archive},
		tarFile{name: "./usr/src/linux-patch-5.10-rt.patch.xz", body: []byte("not wanted")},
	))
	m.publish(t, "bullseye")
	debian := m.config("bullseye")
	debian.Package = "linux-source-5.10"
	for _, test := range []struct {
		source  buildOrigin
		version string
		what    string
	}{
		{buildOrigin{Tree: b.source}, "5.10.223", b.source},
		{buildOrigin{Tarball: path, SHA256: strings.ToUpper(sum(archive))}, "5.10.223", "linux-5.10.tar"},
		{buildOrigin{Debian: &debian}, "5.10.223-1", "linux-source-5.10 5.10.223-1"},
	} {
		img, err := buildSource{}.Fetch(t.Context(), b.Env, buildConfig{Source: test.source, Config: []string{b.config}})
		if err != nil {
			t.Fatalf("%+v: %v", test.source, err)
		}
		p := img.Provenance
		want(t, "release", img.Release, "5.10.223-kqual-stock-"+p.Details["recipe"][:8])
		want(t, "version", p.Version, test.version)
		want(t, "source", p.Details["source"], test.what)
		want(t, "configuration", p.Config, map[string]string{"SMP": "y", "HZ": "250"})
		config, err := os.ReadFile(img.Config)
		must(t, err)
		want(t, "hash of the configuration", p.Details["config_sha256"], sum(config))
		if img.Vmlinux == "" || len(img.Hashes) != 2 {
			t.Errorf("image %+v", img)
		}
		must(t, img.Verify())
	}
	if found := leftovers(t, b.Cache); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestSameVariantIsBuiltOnce(t *testing.T) {
	b := newBuilder(t, fakeSource())
	p := writeFile(t, "a.patch", patchA)
	first := b.build(p)
	want(t, "steps", b.steps(), []string{"unpack", "configure", "build"})
	want(t, "make", b.did(), []string{"configured", "fs/a.o", "fs/b.o"})
	second := b.build(p)
	want(t, "image", second, first)
	want(t, "steps", b.steps(), nil)
	want(t, "make", b.did(), nil)
}

func TestVariantCompilesOnlyWhatItsPatchesTouch(t *testing.T) {
	b := newBuilder(t, fakeSource())
	src := func(name string) string {
		data, err := os.ReadFile(filepath.Join(b.tree(), "src", name))
		if errors.Is(err, os.ErrNotExist) {
			return "absent"
		}
		must(t, err)
		return string(data)
	}
	a, top, created := writeFile(t, "a.patch", patchA), writeFile(t, "top.patch", patchOnTop), writeFile(t, "new.patch", patchNew)

	stock := b.build()
	want(t, "stock", b.did(), []string{"configured", "fs/a.o", "fs/b.o"})
	images := map[string]bool{stock.Provenance.SHA256: true}
	for _, step := range []struct {
		patches []string
		did     []string
		a, new  string
	}{
		{[]string{a}, []string{"fs/a.o"}, "int a;\nint patched;\nint a3;\n", "absent"},
		{[]string{a, top}, []string{"fs/a.o"}, "int a;\nint patched;\nint a3;\nint a4;\n", "absent"},
		{[]string{created}, []string{"fs/a.o"}, fakeSource()["fs/a.c"], "int new;\n"},
		{[]string{created, a}, []string{"fs/a.o"}, "int a;\nint patched;\nint a3;\n", "int new;\n"},
	} {
		img := b.build(step.patches...)
		want(t, "compiled", b.did(), step.did)
		want(t, "fs/a.c", src("fs/a.c"), step.a)
		want(t, "fs/new.c", src("fs/new.c"), step.new)
		if images[img.Provenance.SHA256] {
			t.Errorf("%v: the same kernel as another variant", step.patches)
		}
		images[img.Provenance.SHA256] = true
	}
	// Back to the source as it was: the same bytes come out.
	must(t, b.Cache.Discard(stock))
	want(t, "kernel", b.build().Provenance.SHA256, stock.Provenance.SHA256)
	want(t, "compiled", b.did(), []string{"fs/a.o"})
	want(t, "fs/new.c", src("fs/new.c"), "absent")
	info, err := os.Stat(filepath.Join(b.tree(), "src/scripts/tool"))
	must(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("a patched program has mode %o", info.Mode().Perm())
	}
	want(t, "steps", slices.Contains(b.steps()[1:], "unpack"), false)
}

func TestFailedBuildNamesTheLineAndKeepsItsLog(t *testing.T) {
	b := newBuilder(t, fakeSource())
	broken := writeFile(t, "broken.patch", strings.Replace(patchA, "patched", "BROKEN", 1))
	f := b.fails(broken)
	if f.Side != matrix.SideKernel || f.Reason != "build the kernel: fs/a.c:1:1: error: broken" {
		t.Errorf("%+v", f)
	}
	if log, err := os.ReadFile(f.Log); !strings.Contains(string(log), "CC      fs/a.o") {
		t.Errorf("log %q, %v", log, err)
	}
	want(t, "left behind", leftovers(t, b.Cache, "build"), nil)
	b.steps()
	b.did()
	b.build(writeFile(t, "a.patch", patchA))
	if steps := b.steps(); slices.Contains(steps, "unpack") {
		t.Errorf("the tree was made again: %v", steps)
	}
	if did := b.did(); !slices.Contains(did, "fs/a.o") {
		t.Errorf("not compiled again: %v", did)
	}
}

func TestOptionThatDidNotStickIsNamed(t *testing.T) {
	b := newBuilder(t, fakeSource())
	b.config = writeFile(t, "fake.config", "CONFIG_SMP=y\nCONFIG_EXT4_FS=y\nCONFIG_PANIC=\"x y\"\n# CONFIG_BTRFS_FS is not set\n")
	f := b.fails()
	if f.Side != matrix.SideKernel || !strings.HasSuffix(f.Reason, `did not stick: CONFIG_EXT4_FS=y of `+b.config+`, line 2 (absent), CONFIG_PANIC="x y" of `+b.config+`, line 3 (absent)`) {
		t.Errorf("%+v", f)
	}
	b.config = writeFile(t, "fake.config", "CONFIG_SMP=y\n\nCONFIG EXT4_FS=y\n")
	if f := b.fails(); !strings.Contains(f.Reason, `line 3: "CONFIG EXT4_FS=y" is no option`) {
		t.Errorf("%+v", f)
	}
}

func TestLaterFragmentsWin(t *testing.T) {
	fragments := []recipe{
		{"a", "# A comment.\nCONFIG_A=y\nCONFIG_B=\"text # here\"\nCONFIG_C=0x10\r\n"},
		{"b", "# CONFIG_A is not set\nCONFIG_D=m\n"},
	}
	got, err := mergeFragments(fragments)
	must(t, err)
	want(t, "options", got, map[string]string{"CONFIG_A": "n", "CONFIG_B": `"text # here"`, "CONFIG_C": "0x10", "CONFIG_D": "m"})
	places := optionPlaces(fragments)
	want(t, "lost", lostOptions(got, places, "CONFIG_A=y\nCONFIG_B=\"text # here\"\nCONFIG_C=0x10\n"), []string{"CONFIG_A=n of b, line 1 (is y)", "CONFIG_D=m of b, line 2 (absent)"})
	want(t, "none lost", lostOptions(got, places, renderOptions(got)), nil)
}

// A patch may bring the option that a fragment turns on; a variant without the
// patch then cannot be configured.
func TestPatchThatBringsAnOptionConfiguresAgain(t *testing.T) {
	b := newBuilder(t, fakeSource())
	brings := writeFile(t, "option.patch", "--- a/Kconfig\n+++ b/Kconfig\n@@ -1,3 +1,4 @@\n config SMP\n config HZ\n config TMPFS\n+config FANOTIFY\n")
	b.config = writeFile(t, "fake.config", "CONFIG_SMP=y\nCONFIG_FANOTIFY=y\n")
	if img := b.build(brings); img.Provenance.Config["FANOTIFY"] != "y" {
		t.Errorf("%+v", img.Provenance)
	}
	want(t, "make", b.did(), []string{"configured", "fs/a.o", "fs/b.o"})
	b.build(brings, writeFile(t, "a.patch", patchA))
	want(t, "make", b.did(), []string{"fs/a.o"})
	if f := b.fails(); !strings.Contains(f.Reason, "CONFIG_FANOTIFY=y of "+b.config+", line 2 (absent)") {
		t.Errorf("%+v", f)
	}
}

func TestPatchThatDoesNotApplyNamesFileAndHunk(t *testing.T) {
	b := newBuilder(t, fakeSource())
	b.build()
	b.did()
	for name, test := range map[string]struct{ patch, reason string }{
		"hunk":     {strings.Replace(patchA, "int a;", "int x;", 1), "fs/a.c: hunk 1 at line 1"},
		"fuzz":     {strings.Replace(patchA, " int a3;\n", " int x3;\n", 1), "fs/a.c: hunk 1 at line 1"},
		"no file":  {"--- a/fs/z.c\n+++ b/fs/z.c\n@@ -1 +1 @@\n-int z;\n+int y;\n", "fs/z.c: no such file"},
		"new":      {"--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1 @@\n+int a;\n", "fs/a.c: it exists already"},
		"there":    {"--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,3 +1,3 @@\n int a;\n-int gone;\n+int a2;\n int a3;\n", "fs/a.c: the change is there already"},
		"outside":  {"--- a/../a.c\n+++ b/../a.c\n@@ -1 +1 @@\n-int z;\n+int y;\n", `it touches "../a.c", outside the tree`},
		"no patch": {"Hello.\n", "it is no unified diff"},
	} {
		t.Run(name, func(t *testing.T) {
			// What applies before must not stay.
			f := b.fails(writeFile(t, "first.patch", patchNew), writeFile(t, "bad.patch", test.patch))
			if f.Side != matrix.SideKernel || !strings.Contains(f.Reason, "bad.patch does not apply to "+b.source+": "+test.reason) {
				t.Errorf("reason %q, want %q", f.Reason, test.reason)
			}
			if _, err := os.Stat(filepath.Join(b.tree(), "src/fs/new.c")); err == nil {
				t.Error("the patch before it was applied")
			}
			want(t, "make", b.did(), nil)
		})
	}
}

// hanging starts a build of fs/b.c with that word in it and returns when the
// compiler hangs; result delivers the build's error.
func (b *builder) hanging(ctx context.Context, word string) (pid int, result chan error) {
	b.t.Helper()
	patch := writeFile(b.t, "hang.patch", "--- a/fs/b.c\n+++ b/fs/b.c\n@@ -1 +1 @@\n-int b;\n+int "+word+";\n")
	result = make(chan error, 1)
	go func() {
		_, err := b.fetch(ctx, patch)
		result <- err
	}()
	return b.waitForHang(), result
}

// waitForHang returns the process that hangs.
func (b *builder) waitForHang() int {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		found, _ := filepath.Glob(filepath.Join(b.Cache.Dir(), "tree/*/src/hangs"))
		for _, path := range found {
			data, _ := os.ReadFile(path)
			if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
				return pid
			}
		}
	}
	b.t.Fatal("the build does not hang")
	return 0
}

func ends(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		// A zombie of a container without an init process has ended, too.
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %d still runs", pid)
}

func TestCancelledBuildLeavesNothing(t *testing.T) {
	b := newBuilder(t, fakeSource())
	b.build()
	ctx, cancel := context.WithCancel(t.Context())
	pid, result := b.hanging(ctx, "HANG")
	start := time.Now()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > killGrace {
		t.Errorf("cancelling took %v", took)
	}
	ends(t, pid)
	want(t, "temporary files", leftovers(t, b.Cache), nil)
	if entries, _ := filepath.Glob(filepath.Join(b.Cache.Dir(), "build", "*")); len(entries) != 1 {
		t.Errorf("%d builds, want that of before", len(entries))
	}
	// make removed the object it was about to write, and the tree stays good.
	if _, err := os.Stat(filepath.Join(b.tree(), "src/fs/b.o")); err == nil {
		t.Error("half an object was left")
	}
	b.steps()
	b.did()
	b.build(writeFile(t, "a.patch", patchA))
	want(t, "steps", b.steps(), []string{"build"})
	want(t, "make", b.did(), []string{"fs/a.o", "fs/b.o"})
}

func TestCancelledUnpackingLeavesNoTree(t *testing.T) {
	b := newBuilder(t, fakeSource())
	ctx, cancel := context.WithCancel(t.Context())
	progress := b.Progress
	b.Progress = func(e Event) {
		progress(e)
		cancel()
	}
	if _, err := b.fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	want(t, "left behind", leftovers(t, b.Cache, "build", "tree"), nil)
}

func TestTreeOfAKilledBuildIsMadeAgain(t *testing.T) {
	grace := killGrace
	killGrace = 200 * time.Millisecond
	defer func() { killGrace = grace }()
	b := newBuilder(t, fakeSource())
	b.build()
	ctx, cancel := context.WithCancel(t.Context())
	pid, result := b.hanging(ctx, "STUBBORN")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	ends(t, pid)
	b.steps()
	b.build(writeFile(t, "a.patch", patchA))
	want(t, "steps", b.steps(), []string{"unpack", "configure", "build"})
	want(t, "make", b.did(), []string{"configured", "fs/a.o", "fs/b.o"})
}

// TestBuildHelper is not a test: it is the process that the next one kills.
func TestBuildHelper(t *testing.T) {
	spec := os.Getenv("KQUAL_TEST_BUILD")
	if spec == "" {
		t.Skip("part of TestBuildEndsWithItsProcess")
	}
	var args []string
	must(t, json.Unmarshal([]byte(spec), &args))
	c, err := OpenCache(args[0])
	must(t, err)
	_, err = buildSource{}.Fetch(t.Context(), Env{Cache: c, Progress: func(Event) {}}, buildConfig{
		Source: buildOrigin{Tree: args[1]}, Config: []string{args[2]},
	})
	t.Logf("the build ended: %v", err)
}

func TestBuildEndsWithItsProcess(t *testing.T) {
	files := fakeSource()
	files["fs/b.c"] = "HANG\n"
	b := newBuilder(t, files)
	spec, err := json.Marshal([]string{b.Cache.Dir(), b.source, b.config})
	must(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestBuildHelper$")
	cmd.Env = append(os.Environ(), "KQUAL_TEST_BUILD="+string(spec))
	must(t, cmd.Start())
	pid := b.waitForHang()
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	ends(t, pid)
	// The lock is free and the tree is known to be half-made.
	must(t, os.WriteFile(filepath.Join(b.source, "fs/b.c"), []byte("int b;\n"), 0o644))
	b.build()
}

// Programs share the lock: as long as one of a dead kqual writes into the tree,
// nobody else does.
func TestLockOutlivesItsProcess(t *testing.T) {
	b := newBuilder(t, fakeSource())
	tr := &tree{dir: filepath.Join(b.Cache.Dir(), "tree", "key"), env: b.Env, source: &origin{what: "fake"}}
	must(t, tr.acquire(t.Context()))
	child := exec.Command("sleep", "1000")
	child.ExtraFiles = []*os.File{tr.lock}
	must(t, child.Start())
	must(t, tr.lock.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
	defer cancel()
	if err := tr.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	want(t, "steps", b.steps(), []string{"wait"})
	// It is the lock that Cache.Remove takes.
	if err := b.Cache.Remove(ctx, "tree", "key"); err == nil {
		t.Error("a busy tree was removed")
	}
	must(t, child.Process.Kill())
	_ = child.Wait()
	must(t, tr.acquire(t.Context()))
	must(t, tr.lock.Close())
}

func TestVariantsOfOneTreeWaitForEachOther(t *testing.T) {
	b := newBuilder(t, fakeSource())
	patches := [][]string{nil, {writeFile(t, "a.patch", patchA)}, {writeFile(t, "new.patch", patchNew)}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]string{}
	for _, p := range slices.Concat(patches, patches) {
		wg.Go(func() {
			img, err := b.fetch(t.Context(), p...)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			key := strings.Join(p, " ")
			if have, ok := seen[key]; ok && have != img.Provenance.SHA256 {
				t.Errorf("%q was built twice", key)
			}
			seen[key] = img.Provenance.SHA256
		})
	}
	wg.Wait()
	if len(seen) != 3 || len(b.did()) < 3 {
		t.Errorf("kernels %v", seen)
	}
}

func TestKernelWithoutItsVariantInTheReleaseIsRefused(t *testing.T) {
	files := fakeSource()
	files["Makefile"] = strings.Replace(files["Makefile"], "$(shell cat localversion*)", "", 1)
	if f := newBuilder(t, files).fails(); !strings.Contains(f.Reason, `calls itself "5.10.223"`) {
		t.Errorf("%+v", f)
	}
}

func TestHostSettingsStayOutOfABuild(t *testing.T) {
	t.Setenv("MAKEFLAGS", "-n")
	t.Setenv("LOCALVERSION", "-mine")
	t.Setenv("KBUILD_OUTPUT", "/nowhere")
	b := newBuilder(t, fakeSource())
	if img := b.build(); strings.Contains(img.Release, "mine") {
		t.Error(img.Release)
	}
}

func TestSourceThatIsNotThereIsAKernelFailure(t *testing.T) {
	b := newBuilder(t, fakeSource())
	for name, test := range map[string]struct {
		source buildOrigin
		reason string
	}{
		"no tarball":    {buildOrigin{Tarball: "/nowhere/linux.tar", SHA256: sum(nil)}, "build: tarball: open /nowhere/linux.tar"},
		"wrong hash":    {buildOrigin{Tarball: writeFile(t, "x.tar", "other"), SHA256: sum(nil)}, "wrong hash"},
		"no archive":    {buildOrigin{Tarball: writeFile(t, "x.tar", "other"), SHA256: sum([]byte("other"))}, "unpack x.tar: tar: exit status 2"},
		"no tree":       {buildOrigin{Tree: "/nowhere"}, "build: tree: no kernel tree"},
		"empty archive": {buildOrigin{Tarball: writeFile(t, "x.tar", string(tarball(nil))), SHA256: sum(tarball(nil))}, "configure the kernel: make: *** No rule"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := buildSource{}.Fetch(t.Context(), b.Env, buildConfig{Source: test.source, Config: []string{b.config}})
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("error %v, want %q", err, test.reason)
			}
			want(t, "left behind", leftovers(t, b.Cache, "build"), nil)
		})
	}
	b.config = "/nowhere/x.config"
	if f := b.fails(); !strings.Contains(f.Reason, "read config fragment /nowhere/x.config") {
		t.Errorf("%+v", f)
	}
}

func TestMissingToolsAreOneErrorWithTheirPackages(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := buildSource{}.Fetch(t.Context(), newTestEnv(t).Env, buildConfig{})
	var f *matrix.Failure
	if !errors.As(err, &f) || f.Side != matrix.SideHost {
		t.Fatalf("error %v", err)
	}
	want(t, "hint", f.Hint, "apt-get install gcc make flex bison bc patch xz-utils tar binutils perl")
}

// Output of real builds.
func TestSummaryNamesTheFirstErrors(t *testing.T) {
	for _, test := range []struct{ output, summary, hint string }{
		{
			"  CC      lib/error-inject.o\nfs/namei.c: In function 'vfs_unlink':\nfs/namei.c:3892:33: error: implicit declaration of function 'fsnotify_gone'\n" +
				"make[1]: *** [scripts/Makefile.build:286: fs/namei.o] Error 1\nmake: *** [Makefile:1837: fs] Error 2\n",
			"fs/namei.c:3892:33: error: implicit declaration of function 'fsnotify_gone'", "the whole output is in the log",
		},
		{
			"Makefile:1246: *** \"Cannot generate ORC metadata for CONFIG_UNWINDER_ORC=y, please install libelf-dev, libelf-devel or elfutils-libelf-devel\".  Stop.\n",
			"Makefile:1246: *** \"Cannot generate ORC metadata for CONFIG_UNWINDER_ORC=y, please install libelf-dev, libelf-devel or elfutils-libelf-devel\".  Stop.",
			"apt-get install libelf-dev (for objtool, which every x86-64 configuration of 5.10 uses)",
		},
		{
			"  HOSTCC  scripts/extract-cert\nscripts/extract-cert.c:21:10: fatal error: openssl/bio.h: No such file or directory\ncompilation terminated.\n",
			"scripts/extract-cert.c:21:10: fatal error: openssl/bio.h: No such file or directory", "apt-get install libssl-dev (for signed modules)",
		},
		{
			"ld: fs/namei.o: in function `vfs_unlink':\nnamei.c:(.text+0x1): undefined reference to `a'\nnamei.c:(.text+0x2): undefined reference to `b'\n" +
				"namei.c:(.text+0x3): undefined reference to `c'\nnamei.c:(.text+0x4): undefined reference to `d'\nmake: *** [Makefile:1190: vmlinux] Error 1\n",
			"namei.c:(.text+0x1): undefined reference to `a'; namei.c:(.text+0x2): undefined reference to `b'; namei.c:(.text+0x3): undefined reference to `c'; and 1 more",
			"the whole output is in the log",
		},
		{"/tmp/ccx.s: Fatal error: can't close x.o: No space left on device\n", "/tmp/ccx.s: Fatal error: can't close x.o: No space left on device", "free space in the cache's file system, or set KQUAL_CACHE to another one"},
		{"\n", "", "the whole output is in the log"},
	} {
		e := &commandError{program: "make", err: errors.New("exit status 2"), output: []byte(test.output)}
		want(t, "summary", e.summary(), test.summary)
		want(t, "hint", e.hint(), test.hint)
	}
}

func TestPatchedFilesReadsHeadersAndNotHunks(t *testing.T) {
	const tricky = `From: somebody
--- 
 fs/a.c | 2 +-

diff --git a/fs/moved.c b/fs/where.c
similarity index 100%
rename from fs/moved.c
rename to fs/where.c
diff --git a/tool.sh b/tool.sh
old mode 100644
new mode 100755
--- a/fs/a.c	2022-01-17 10:00:00
+++ b/fs/a.c	2022-01-17 10:00:01
@@ -1,3 +1,2 @@ int f(void)
 x
--- a/looks/like.one
+++ b/looks/like.one
\ No newline at end of file
-y
--- a/gone.c
+++ /dev/null
@@ -1 +0,0 @@
-z
`
	want(t, "files", patchedFiles(tricky), []string{"fs/moved.c", "fs/where.c", "tool.sh", "fs/a.c", "gone.c"})
}

func FuzzPatchedFiles(f *testing.F) {
	f.Add(patchA)
	f.Add(patchNew)
	for _, name := range patchFiles.names() {
		list, err := loadRecipes(patchFiles, []string{name})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(list[0].body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		seen := map[string]bool{}
		for _, name := range patchedFiles(body) {
			if seen[name] {
				t.Errorf("%q twice", name)
			}
			seen[name] = true
		}
	})
}

func TestBuiltInRecipesSayWhatTheyAre(t *testing.T) {
	for _, name := range patchFiles.names() {
		list, err := loadRecipes(patchFiles, []string{name})
		must(t, err)
		body := list[0].body
		for _, part := range []string{"SPDX-License-Identifier: GPL-2.0\n", "\nWhat it does:", "\nMust show", "\nApplies to: linux-source-"} {
			if !strings.Contains(body, part) {
				t.Errorf("patch %s has no %q", name, part)
			}
		}
		if len(patchedFiles(body)) == 0 {
			t.Errorf("patch %s touches nothing", name)
		}
	}
	for _, name := range configFiles.names() {
		list, err := loadRecipes(configFiles, []string{name})
		must(t, err)
		options, err := mergeFragments(list)
		if err != nil || len(options) == 0 || !strings.HasPrefix(list[0].body, "# ") {
			t.Errorf("fragment %s: %d options, %v", name, len(options), err)
		}
	}
}

func TestBuildInTheMatrixIsChecked(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"good":         {"source: {debian: {suite: bullseye, package: linux-source-5.10}}\nconfig: [tiny, preempt, ./mine.config]\npatches: [affected, excl-unlink, mine.patch, a/b]\n", nil},
		"good tarball": {"source: {tarball: x.tar.xz, sha256: " + sum(nil) + "}\nconfig: [tiny]\n", nil},
		"no source":    {"source: {}\nconfig: [tiny]\n", []string{"1: k.source: name exactly one of debian, tarball, tree and git"}},
		"two sources":  {"config: [tiny]\nsource:\n  tree: a\n  tarball: b\n", []string{"2: k.source: name exactly one of debian, tarball, tree and git"}},
		"no hash":      {"source: {tarball: a.tar}\nconfig: [tiny]\n", []string{"1: k.source.sha256: a tarball needs its sha256 (64 hex digits); sha256sum prints it"}},
		"lonely hash":  {"config: [tiny]\nsource:\n  tree: a\n  sha256: " + sum(nil) + "\n", []string{"4: k.source.sha256: belongs to a tarball, and there is none; remove it"}},
		"names": {"source: {tree: a}\nconfig:\n- tiny\n- preemt\npatches:\n  [afected]\n", []string{
			`4: k.config[1]: no config fragment named "preemt" is built in; did you mean "preempt"? (a file of yours needs a / or .config in its name)`,
			`6: k.patches[0]: no patch named "afected" is built in; did you mean "affected"? (a file of yours needs a / or .patch in its name)`,
		}},
		"good git":   {"source: {git: {url: 'https://example.org/linux.git', rev: v5.16.4}}\ncc: gcc-12\nconfig: [tiny]\n", nil},
		"git":        {"source:\n  git:\n    url: 'ext::sh -c x'\n    rev: -x\nconfig: [tiny]\n", []string{`3: k.source.git.url: "ext::sh -c x" is no https, http, git, ssh or file URL`, `4: k.source.git.rev: "-x" is no revision; write a tag, a branch or a commit`}},
		"git places": {"source: {git: {rev: v1}}\nconfig: [tiny]\n", []string{"1: k.source.git.url: name exactly one of path and url"}},
		"compiler":   {"source: {tree: a}\nconfig: [tiny]\ncc: gcc -O3\n", []string{`3: k.cc: "gcc -O3" is no program; write one such as gcc-12 or clang`}},
		"good base":  {"source: {tree: a}\nconfig: [tiny]\nbase: {patches: [affected]}\npatches: [ihold]\n", nil},
		"base":       {"source: {tree: a}\nconfig: [tiny]\nbase:\n  patches: [afected]\n", []string{`4: k.base.patches[0]: no patch named "afected" is built in; did you mean "affected"? (a file of yours needs a / or .patch in its name)`}},
		"no config":  {"source: {tree: a}\nconfig: []\n", []string{"2: k.config: must not be empty; give a list of texts"}},
		"unknown":    {"source: {tree: a}\nconfig: [tiny]\npatch: [affected]\n", []string{`3: k.patch: unknown key "patch"; did you mean "patches"?`}},
	} {
		t.Run(name, func(t *testing.T) {
			var node yaml.Node
			must(t, yaml.Unmarshal([]byte(test.text), &node))
			_, problems := buildSource{}.Catalog().Decode(node.Content[0], "k")
			var got []string
			for _, p := range problems {
				got = append(got, strconv.Itoa(p.Line)+": "+p.Path+": "+p.What)
			}
			want(t, "problems", got, test.want)
		})
	}
}

func TestLocalVersionIsShortAndPlain(t *testing.T) {
	recipe := sum(nil)
	for _, test := range []struct {
		patches []string
		want    string
	}{
		{nil, "-kqual-stock-e3b0c442"},
		{[]string{"affected", "excl-unlink"}, "-kqual-excl-unlink-e3b0c442"},
		{[]string{"/home/me/My patch_1.patch"}, "-kqual-my-patch-1-e3b0c442"},
		{[]string{"./0001-fsnotify-invalidate-dcache-before.patch"}, "-kqual-0001-fsnotify-invalidate-e3b0c442"},
	} {
		want(t, "local version", localVersion(test.patches, recipe), test.want)
	}
}

// realBuild is the kernel that everything else is tested with.
func realBuild(patches ...string) buildConfig {
	return buildConfig{
		Source: buildOrigin{Debian: &DebianConfig{Suite: "bullseye", Package: "linux-source-5.10"}},
		Config: []string{"tiny"}, Patches: patches,
	}
}

const (
	// maxVariant is how long a further variant may take; measured: 10 s on 2
	// cores, against 150 s for the first build.
	maxVariant = 90 * time.Second
	// maxObjects is how many objects a variant may compile again; the tree has
	// about 1,200.
	maxObjects = 60
)

func TestVMBuildsOfRealKernelsAreIncremental(t *testing.T) {
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("builds kernels; set KQUAL_VM=1 (make test does)")
	}
	dir, err := DefaultCacheDir()
	must(t, err)
	c, err := OpenCache(dir) // the shared one: what was built before is used
	must(t, err)
	env := Env{Cache: c, Kernel: "test", Progress: func(e Event) {
		if e.Total == 0 {
			t.Logf("%s %s (end: %t)", time.Now().Format(time.TimeOnly), e.Step, e.End)
		}
	}}
	fetch := func(patches ...string) *Image {
		start := time.Now()
		img, err := buildSource{}.Fetch(t.Context(), env, realBuild(patches...))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(img.Vmlinuz)
		must(t, err)
		t.Logf("%s: %.1f s, bzImage %d bytes", img.Release, time.Since(start).Seconds(), info.Size())
		if img.Vmlinux == "" {
			t.Errorf("%s has no PVH entry", img.Release)
		}
		return img
	}
	images := []*Image{fetch("affected"), fetch("affected", "excl-unlink")}

	// A variant that nobody built before: patch(1) passes over the last line.
	patch := writeFile(t, "variant.patch", `--- a/fs/notify/group.c
+++ b/fs/notify/group.c
@@ -1,4 +1,5 @@
 // SPDX-License-Identifier: GPL-2.0-or-later
 /*
+ * A variant.
  *  Copyright (C) 2008 Red Hat, Inc., Eric Paris <eparis@redhat.com>
  */
Made at `+time.Now().Format(time.RFC3339Nano)+"\n")
	start := time.Now()
	variant := fetch("affected", patch)
	defer func() { must(t, c.Discard(variant)) }()
	if took := time.Since(start); took > maxVariant {
		t.Errorf("a further variant took %v", took)
	}
	objects := 0
	must(t, filepath.WalkDir(filepath.Join(dir, "tree"), func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".o" {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(start) {
			objects++
		}
		return err
	}))
	t.Logf("%d objects compiled", objects)
	if objects == 0 || objects > maxObjects {
		t.Errorf("%d objects were compiled for a change of one", objects)
	}
	names := map[string]bool{}
	for _, img := range append(images, variant) {
		names[img.Release] = true
	}
	if len(names) != 3 {
		t.Errorf("the releases are not distinct: %v", names)
	}
}
