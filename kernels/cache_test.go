package kernels

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func openTestCache(t *testing.T) *Cache {
	t.Helper()
	c, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fill makes an entry of two files.
func fill(tmp string) error {
	if err := os.MkdirAll(filepath.Join(tmp, "sub"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "a"), []byte("content"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tmp, "sub/b"), []byte("more"), 0o644)
}

func TestConcurrentMakersMakeAnEntryOnce(t *testing.T) {
	dir := t.TempDir()
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c, err := OpenCache(dir) // as other processes do, sweeping while others make
			if err != nil {
				t.Error(err)
				return
			}
			got, err := c.Entry(context.Background(), "kind", "key", func(tmp string) error {
				made.Add(1)
				time.Sleep(20 * time.Millisecond)
				return fill(tmp)
			})
			if err != nil {
				t.Error(err)
			}
			if data, err := os.ReadFile(filepath.Join(got, "sub/b")); string(data) != "more" {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

func TestDamagedEntryIsMadeAgain(t *testing.T) {
	damage := map[string]func(t *testing.T, dir string){
		"truncated": func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "a"), 3)) },
		"altered": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("CONTENT"), 0o644))
		},
		"missing": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "sub/b"))) },
		"replaced": func(t *testing.T, dir string) {
			path := filepath.Join(dir, "a")
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.WriteFile(path+".new", []byte("CONTENT"), 0o644))
			must(t, os.Chtimes(path+".new", info.ModTime(), info.ModTime()))
			must(t, os.Rename(path+".new", path))
		},
		"without manifest": func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, manifestName))) },
		"with half a manifest": func(t *testing.T, dir string) {
			must(t, os.Truncate(filepath.Join(dir, manifestName), 20))
		},
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			c := openTestCache(t)
			dir, err := c.Entry(context.Background(), "kind", "key", fill)
			must(t, err)
			if !c.Has("kind", "key") {
				t.Fatal("the entry is not there")
			}
			spoil(t, dir)
			if c.Has("kind", "key") {
				t.Error("the damage was not noticed")
			}
			made := false
			_, err = c.Entry(context.Background(), "kind", "key", func(tmp string) error { made = true; return fill(tmp) })
			must(t, err)
			data, err := os.ReadFile(filepath.Join(dir, "a"))
			if !made || string(data) != "content" {
				t.Errorf("made again: %t; %q, %v", made, data, err)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIntactEntryIsReused(t *testing.T) {
	c := openTestCache(t)
	_, err := c.Entry(context.Background(), "kind", "key", fill)
	must(t, err)
	_, err = c.Entry(context.Background(), "kind", "key", func(string) error { return errors.New("made again") })
	must(t, err)
}

func TestFailedMakeLeavesNothing(t *testing.T) {
	c := openTestCache(t)
	boom := errors.New("boom")
	_, err := c.Entry(context.Background(), "kind", "key", func(tmp string) error { return errors.Join(fill(tmp), boom) })
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if left := leftovers(t, c, "kind"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOpenSweepsWhatDeadProcessesLeft(t *testing.T) {
	c := openTestCache(t)
	dead := filepath.Join(c.Dir(), "tmp", "entry-dead")
	must(t, os.MkdirAll(filepath.Join(dead, "sub"), 0o755))
	_, err := c.Entry(context.Background(), "kind", "key", func(tmp string) error {
		if _, err := OpenCache(c.Dir()); err != nil {
			return err
		}
		if _, err := os.Stat(dead); err == nil {
			t.Error("the dead one is still there")
		}
		if _, err := os.Stat(tmp); err != nil {
			t.Errorf("the living one is gone: %v", err)
		}
		return fill(tmp)
	})
	must(t, err)
}

func TestWaitingForALockEndsWithTheContext(t *testing.T) {
	c := openTestCache(t)
	unlock, err := c.Lock(context.Background(), "kind-key")
	must(t, err)
	defer unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Entry(ctx, "kind", "key", fill); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestVerifyNoticesWhatEntryCannot(t *testing.T) {
	c := openTestCache(t)
	dir, err := c.Entry(context.Background(), "kind", "key", fill)
	must(t, err)
	path := filepath.Join(dir, "a")
	hash, err := HashFile(path)
	must(t, err)
	img := &Image{Vmlinuz: path, Hashes: map[string]string{path: hash}}
	must(t, img.Verify())
	alterUnseen(t, path)
	if !c.Has("kind", "key") {
		t.Error("the alteration was not unseen")
	}
	if err := img.Verify(); err == nil || !strings.Contains(err.Error(), "was altered") {
		t.Errorf("error %v", err)
	}
	must(t, c.Discard(img))
	if c.Has("kind", "key") {
		t.Error("not discarded")
	}
}

func TestDiscardLeavesTheUsersFilesAlone(t *testing.T) {
	c := openTestCache(t)
	path := filepath.Join(t.TempDir(), "vmlinuz")
	must(t, os.WriteFile(path, nil, 0o644))
	must(t, c.Discard(&Image{Vmlinuz: path, Hashes: map[string]string{path: ""}}))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestSizeCountsFiles(t *testing.T) {
	c := openTestCache(t)
	before, err := c.Size()
	must(t, err)
	_, err = c.Entry(context.Background(), "kind", "key", func(tmp string) error {
		return os.WriteFile(filepath.Join(tmp, "a"), make([]byte, 100_000), 0o644)
	})
	must(t, err)
	after, err := c.Size()
	must(t, err)
	if after-before < 100_000 {
		t.Errorf("size %d, before %d", after, before)
	}
}

func TestDefaultCacheDir(t *testing.T) {
	t.Setenv("KQUAL_CACHE", "/somewhere")
	if dir, err := DefaultCacheDir(); dir != "/somewhere" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("KQUAL_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	if dir, err := DefaultCacheDir(); dir != "/xdg/kqual" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestDownloadNeedsAHash(t *testing.T) {
	e := newTestEnv(t)
	if _, err := e.Cache.Download(context.Background(), e.Env, Request{URL: "http://127.0.0.1:1/", SHA256: "../../x"}); err == nil {
		t.Error("no error")
	}
}
