package kernels

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

// aged makes an entry with a file of so many kilobytes that was used so long ago.
func aged(t *testing.T, dir, kind, key string, kilobytes int, ago time.Duration) {
	t.Helper()
	c, err := OpenCache(dir)
	must(t, err)
	path, err := c.Entry(t.Context(), kind, key, func(tmp string) error {
		return os.WriteFile(filepath.Join(tmp, "file"), make([]byte, kilobytes<<10), 0o644)
	})
	must(t, err)
	c.close()
	used := time.Now().Add(-ago)
	must(t, os.Chtimes(filepath.Join(path, manifestName), used, used))
}

// close lets go of what a cache holds, as the end of its process does.
func (c *Cache) close() {
	c.inUse.mu.Lock()
	defer c.inUse.mu.Unlock()
	for _, f := range c.inUse.dirs {
		f.Close()
	}
	c.inUse.dirs = nil
}

func prune(t *testing.T, dir string, o PruneOptions) PruneResult {
	t.Helper()
	c, err := OpenCache(dir)
	must(t, err)
	r, err := c.Prune(t.Context(), o)
	must(t, err)
	if left := leftovers(t, c); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return r
}

func entriesOf(r PruneResult) []string {
	var out []string
	for _, p := range r.Removed {
		out = append(out, p.Entry)
	}
	return out
}

func inCache(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "file"))
	must(t, err)
	for _, path := range found {
		rel, err := filepath.Rel(dir, filepath.Dir(path))
		must(t, err)
		out = append(out, rel)
	}
	slices.Sort(out)
	return out
}

func TestPruneByAgeAndSize(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		name string
		o    PruneOptions
		want []string // in order
	}{
		{"nothing is too much", PruneOptions{MaxSize: 1 << 30, MaxAge: 90 * day}, nil},
		{"age", PruneOptions{MaxSize: -1, MaxAge: 30 * day}, []string{"a/oldest", "b/old"}},
		{"size", PruneOptions{MaxSize: 320 << 10, MaxAge: -1}, []string{"a/oldest"}},
		{"smaller size", PruneOptions{MaxSize: 150 << 10, MaxAge: -1}, []string{"a/oldest", "b/old", "a/new"}},
		{"both", PruneOptions{MaxSize: 220 << 10, MaxAge: 50 * day}, []string{"a/oldest", "b/old"}},
		{"everything", PruneOptions{MaxSize: -1, MaxAge: 0}, []string{"a/oldest", "b/old", "a/new", "b/newest"}},
		{"all but what is named", PruneOptions{MaxSize: 0, MaxAge: -1, Keep: map[string]bool{"b/old": true}}, []string{"a/oldest", "a/new", "b/newest"}},
	} {
		for _, dry := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s dry %t", test.name, dry), func(t *testing.T) {
				dir := t.TempDir()
				aged(t, dir, "b", "newest", 100, time.Hour)
				aged(t, dir, "a", "new", 100, day)
				aged(t, dir, "b", "old", 100, 40*day)
				aged(t, dir, "a", "oldest", 100, 60*day)
				must(t, os.WriteFile(filepath.Join(dir, "accelerators.json"), []byte("{}"), 0o644))
				all := inCache(t, dir)
				test.o.DryRun = dry
				r := prune(t, dir, test.o)
				if diff := cmp.Diff(test.want, entriesOf(r)); diff != "" {
					t.Error(diff)
				}
				if want := int64(len(test.want)) * 100 << 10; r.Freed < want || r.Freed > want+int64(len(test.want))*16<<10 {
					t.Errorf("freed %d bytes, want about %d", r.Freed, want)
				}
				want := all
				if !dry {
					want = slices.DeleteFunc(all, func(e string) bool { return slices.Contains(test.want, e) })
				}
				if got := inCache(t, dir); !slices.Equal(want, got) {
					t.Errorf("left %q, want %q", got, want)
				}
				if _, err := os.Stat(filepath.Join(dir, "accelerators.json")); err != nil {
					t.Error("what is no entry went, too")
				}
			})
		}
	}
}

func TestUseMakesAnEntryYoung(t *testing.T) {
	dir := t.TempDir()
	aged(t, dir, "kind", "used", 1, 60*24*time.Hour)
	aged(t, dir, "kind", "unused", 1, 60*24*time.Hour)
	c, err := OpenCache(dir)
	must(t, err)
	_, err = c.Entry(t.Context(), "kind", "used", func(string) error { return errors.New("made again") })
	must(t, err)
	c.close()
	r := prune(t, dir, PruneOptions{MaxSize: -1, MaxAge: time.Hour})
	if diff := cmp.Diff([]string{"kind/unused"}, entriesOf(r)); diff != "" {
		t.Error(diff)
	}
}

func TestPruneLeavesWhatOthersUseOrMake(t *testing.T) {
	dir := t.TempDir()
	for _, key := range []string{"used", "being-made", "free"} {
		aged(t, dir, "kind", key, 1, 60*24*time.Hour)
	}
	user, err := OpenCache(dir)
	must(t, err)
	path, err := user.Entry(t.Context(), "kind", "used", fill)
	must(t, err)
	unlock, err := user.Lock(t.Context(), "kind-being-made")
	must(t, err)
	everything := PruneOptions{MaxSize: 0, MaxAge: -1}
	r := prune(t, dir, everything)
	if diff := cmp.Diff([]string{"kind/free"}, entriesOf(r)); diff != "" || r.InUse != 2 {
		t.Errorf("%d in use, %s", r.InUse, diff)
	}
	if !intact(path) {
		t.Error("what is in use was taken away")
	}
	unlock()
	user.close()
	if r := prune(t, dir, everything); len(r.Removed) != 2 || r.Left != 0 {
		t.Errorf("afterwards: %+v", r)
	}
}

func TestPruneRemovesTreesAndCopiesOfFilesThatChange(t *testing.T) {
	m, e := oneKernel(t), newTestEnv(t)
	_, err := fetchDebian(t, e, m.config("testing"))
	must(t, err)
	e.Cache.close()
	dir := e.Cache.Dir()
	for _, key := range []string{"idle", "busy", "half-made"} {
		must(t, os.MkdirAll(filepath.Join(dir, treeKind, key, "src"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, treeKind, key, "src/file"), make([]byte, 4096), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, treeKind, "idle", treeReady), nil, 0o644))
	busy := &tree{dir: filepath.Join(dir, treeKind, "busy"), env: e.Env, source: &origin{what: "fake"}}
	must(t, busy.acquire(t.Context()))
	time.Sleep(10 * time.Millisecond)
	r := prune(t, dir, PruneOptions{MaxSize: -1, MaxAge: 0})
	var kinds []string
	for _, p := range r.Removed {
		kinds = append(kinds, filepath.Dir(p.Entry))
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"debian", "download", "download", "index", "release", "tree", "tree", "vmlinux"}, kinds); diff != "" {
		t.Error(diff)
	}
	if r.InUse != 1 || !isDir(busy.dir) {
		t.Errorf("the busy tree: %+v", r)
	}
	busy.lock.Close()
	_, err = fetchDebian(t, e, m.config("testing"))
	must(t, err)
}

func TestNamedAreTheEntriesOfTheMatrixAndItsLock(t *testing.T) {
	m, e := newFakeMirror(t), newTestEnv(t)
	m.release(t, "6.1.9-1")
	entry := debianEntry(m)
	l := lockAll(t, e, entry)
	locked := entriesNow(t, e)
	m.release(t, "6.1.10-1")
	later := newTestEnv(t)
	_, err := Fetch(t.Context(), later.Env, entry)
	must(t, err)
	// Both in one cache: an old version that only the lock names, a new one that
	// only the matrix names, and what nobody names.
	both, err := OpenCache(e.Cache.Dir())
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(both.Dir(), keptKind)))
	_, err = Fetch(t.Context(), Env{Cache: both, Kernel: "k", Progress: func(Event) {}}, entry)
	must(t, err)
	both.close()
	e.Cache.close()
	aged(t, both.Dir(), "download", sum([]byte("nobody's")), 1, time.Hour)
	m.Close()

	keep, unknown := both.Named(t.Context(), append(l.All(), entry))
	if len(unknown) > 0 {
		t.Errorf("unknown: %q", unknown)
	}
	r := prune(t, both.Dir(), PruneOptions{MaxSize: 0, MaxAge: -1, Keep: keep})
	for _, p := range r.Removed {
		// The index of then is named by nobody: a lock needs none.
		if p.Entry != "download/"+sum([]byte("nobody's")) && filepath.Dir(p.Entry) != "index" {
			t.Errorf("%s went", p.Entry)
		}
	}
	if len(r.Removed) != 2 {
		t.Errorf("removed %v", entriesOf(r))
	}
	both.Offline = true
	for _, k := range []matrix.Kernel{entry, only(t, l, entry)} {
		_, err = Fetch(t.Context(), Env{Cache: both, Kernel: "k", Progress: func(Event) {}}, k)
		must(t, err)
	}
	both.close()

	// Without the lock, what it named goes.
	keep, _ = both.Named(t.Context(), []matrix.Kernel{entry})
	r = prune(t, both.Dir(), PruneOptions{MaxSize: 0, MaxAge: -1, Keep: keep})
	if len(r.Removed) < 2 {
		t.Errorf("removed %v of %v", entriesOf(r), locked)
	}
	for _, entry := range entriesOf(r) {
		if !slices.Contains(locked, entry) {
			t.Errorf("%s went and is not of the lock", entry)
		}
	}
	both.Offline = true
	_, err = Fetch(t.Context(), Env{Cache: both, Kernel: "k", Progress: func(Event) {}}, entry)
	must(t, err)
}

func entriesNow(t *testing.T, e *testEnv) []string {
	t.Helper()
	list, err := e.Cache.prunable()
	must(t, err)
	var out []string
	for _, p := range list {
		out = append(out, p.Entry)
	}
	return out
}

// Named looks and makes nothing: no unpacking, no build.
func TestNamedMakesNothing(t *testing.T) {
	b := newBuilder(t, fakeSource())
	entry := matrix.Kernel{Name: "k", Source: "build", Config: buildConfig{Source: buildOrigin{Tree: b.source}, Config: []string{b.config}}}
	if named, unknown := b.Cache.Named(t.Context(), []matrix.Kernel{entry}); len(named) == 0 || len(unknown) > 0 {
		t.Error("nothing is named")
	}
	if left := leftovers(t, b.Cache, "build", "tree", "vmlinux"); len(left) > 0 {
		t.Errorf("made %v", left)
	}
	_, err := Fetch(t.Context(), b.Env, entry)
	must(t, err)
	b.Cache.close()
	keep, _ := b.Cache.Named(t.Context(), []matrix.Kernel{entry})
	r := prune(t, b.Cache.Dir(), PruneOptions{MaxSize: 0, MaxAge: -1, Keep: keep})
	gone := slices.DeleteFunc(entriesOf(r), func(e string) bool { return e == ccacheKind+"/"+ccacheKey }) // of no kernel
	if len(gone) > 0 || r.Kept != 3 {
		t.Errorf("removed %v, kept %d, want build, tree and vmlinux kept", entriesOf(r), r.Kept)
	}
}

// While one prunes everything again and again, what others get is whole and
// stays so.
func TestPruneBesideMakersAndUsers(t *testing.T) {
	dir := t.TempDir()
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for n := 0; time.Now().Before(stop); n++ {
				c, err := OpenCache(dir)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := c.Entry(t.Context(), "kind", fmt.Sprint(n%2), fill)
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					if data, err := os.ReadFile(filepath.Join(got, "sub/b")); string(data) != "more" {
						t.Errorf("%q, %v", data, err)
					}
					time.Sleep(time.Millisecond)
				}
				c.close()
			}
		})
	}
	pruned := 0
	for time.Now().Before(stop) {
		c, err := OpenCache(dir)
		must(t, err)
		r, err := c.Prune(t.Context(), PruneOptions{MaxSize: 0, MaxAge: -1})
		must(t, err)
		pruned += len(r.Removed)
	}
	wg.Wait()
	if pruned == 0 {
		t.Error("nothing was ever pruned")
	}
}
