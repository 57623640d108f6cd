package kernels

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kqual/matrix"
)

// Kinds of tests that look at the cache alone.
func init() {
	for _, name := range []string{"kind", "a", "b"} {
		declareKind(entryKind(name, nil))
	}
}

func TestEntryOfAKindThatNobodyDeclaredIsRefused(t *testing.T) {
	c := openTestCache(t)
	if _, err := c.Entry(t.Context(), "undeclared", "key", fill); err == nil || !strings.Contains(err.Error(), "undeclared") {
		t.Errorf("error %v", err)
	}
}

// builtFromGit is a cache with everything that a build from a repository leaves.
func builtFromGit(t *testing.T) (*builder, matrix.Kernel) {
	t.Helper()
	b, r := newBuilder(t, fakeSource()), newGitRepo(t)
	k := matrix.Kernel{Name: "k", Source: "build", Config: buildConfig{
		Source: buildOrigin{Git: &gitOrigin{URL: "file://" + r.dir, Rev: "v1"}}, Config: []string{b.config},
	}}
	_, err := Fetch(t.Context(), b.Env, k)
	must(t, err)
	return b, k
}

func keysOf(items []string) []string {
	var kinds []string
	for _, i := range items {
		kinds = append(kinds, filepath.Dir(i))
	}
	slices.Sort(kinds)
	return kinds
}

// expectedKinds are what builtFromGit leaves; ccache may not be installed.
func expectedKinds() []string {
	kinds := []string{"build", "ccache", "git", "tree", "vmlinux"}
	if _, err := exec.LookPath("ccache"); err != nil {
		kinds = slices.Delete(kinds, 1, 2)
	}
	return kinds
}

func TestEveryDirectoryOfACacheIsAKindThatPruneAndVerifyKnow(t *testing.T) {
	b, k := builtFromGit(t)
	m := oneKernel(t)
	_, err := fetchDebian(t, b.testEnv, m.config("testing"))
	must(t, err)
	dirs, err := os.ReadDir(b.Cache.Dir())
	must(t, err)
	for _, d := range dirs {
		if _, declared := cacheKinds[d.Name()]; !declared && !slices.Contains(noItems, d.Name()) {
			t.Errorf("nobody declares %s", d.Name())
		}
	}
	v, err := b.Cache.Verify(t.Context())
	must(t, err)
	items, err := b.Cache.items()
	must(t, err)
	unknown := 0
	for _, n := range v.Unknown {
		unknown += n
	}
	if v.Checked+unknown != len(items) || len(v.Damage) > 0 || v.Unknown["git"] > 0 {
		t.Errorf("%+v of %d items", v, len(items))
	}
	// In use is all of it, and then nothing.
	r, err := b.Cache.Prune(t.Context(), PruneOptions{MaxSize: 0, MaxAge: -1})
	must(t, err)
	want(t, "kinds that went while in use", keysOf(entriesOf(r)), []string{"release", "tree"}) // no lasting use
	b.Cache.close()
	_, err = Fetch(t.Context(), b.Env, k)
	must(t, err)
	b.Cache.close()
	r, err = b.Cache.Prune(t.Context(), PruneOptions{MaxSize: 0, MaxAge: -1})
	must(t, err)
	want(t, "left", r.Left, int64(0))
	for _, kind := range []string{"git", "ccache", "tree", "build", "download", "index"} {
		if left := leftovers(t, b.Cache, kind); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	}
}

func TestPruneKeepsTheRepositoryOfTheMatrix(t *testing.T) {
	b, k := builtFromGit(t)
	b.Cache.close()
	keep, unknown := b.Cache.Named(t.Context(), []matrix.Kernel{k})
	want(t, "unknown", unknown, nil)
	r, err := b.Cache.Prune(t.Context(), PruneOptions{MaxSize: 0, MaxAge: -1, Keep: keep})
	must(t, err)
	// What ccache has only makes builds faster.
	if went := slices.DeleteFunc(keysOf(entriesOf(r)), func(k string) bool { return k == ccacheKind }); len(went) > 0 {
		t.Errorf("went: %q", went)
	}
	b.Cache.Offline = true
	_, err = Fetch(t.Context(), b.Env, k)
	must(t, err)
	b.Cache.close()
	r, err = b.Cache.Prune(t.Context(), PruneOptions{MaxSize: 0, MaxAge: -1})
	must(t, err)
	for _, kind := range expectedKinds() {
		if left := leftovers(t, b.Cache, kind); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	}
	want(t, "left", r.Left, int64(0))
}

// To be named a kernel's repository is looked for and not made.
func TestNamedMakesNoRepository(t *testing.T) {
	b := newBuilder(t, fakeSource())
	k := matrix.Kernel{Name: "k", Source: "build", Config: buildConfig{
		Source: buildOrigin{Git: &gitOrigin{URL: "file:///nowhere", Rev: "v1"}}, Config: []string{b.config},
	}}
	if _, unknown := b.Cache.Named(t.Context(), []matrix.Kernel{k}); len(unknown) != 1 {
		t.Errorf("unknown: %q", unknown)
	}
	if left := leftovers(t, b.Cache, "git", "ccache"); len(left) > 0 {
		t.Errorf("made %v", left)
	}
}

func TestVerifyFindsADamagedRepositoryAndCopy(t *testing.T) {
	b, _ := builtFromGit(t)
	must(t, b.Cache.remember(t.Context(), "name", "value"))
	objects, err := filepath.Glob(filepath.Join(b.Cache.Dir(), "git/*/objects/??/*"))
	must(t, err)
	packs, err := filepath.Glob(filepath.Join(b.Cache.Dir(), "git/*/objects/pack/*.pack"))
	must(t, err)
	objects = append(objects, packs...)
	if len(objects) == 0 {
		t.Fatal("no objects")
	}
	for _, path := range objects {
		must(t, os.Chmod(path, 0o644))
		must(t, os.Truncate(path, 1))
	}
	must(t, os.WriteFile(b.Cache.keptPath(keptKey("name")), []byte("{"), 0o644))
	v, err := b.Cache.Verify(t.Context())
	must(t, err)
	var damaged []string
	for _, d := range v.Damage {
		damaged = append(damaged, d.Entry)
		if d.What == "" || strings.Contains(d.What, "\n") {
			t.Errorf("%q", d.What)
		}
	}
	want(t, "damaged", fmt.Sprint(keysOf(damaged)), "[git release]")
}
