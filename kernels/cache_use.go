package kernels

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// holds are the entries that a process uses: a shared lock on each directory,
// which lasts as long as the Cache does.
type holds struct {
	mu   sync.Mutex
	dirs map[string]*os.File // by path
}

// hold marks the entry in dir as in use, from now on until this process ends,
// and as used now. It says whether the entry is there and intact: what is held
// and intact, nobody prunes.
func (c *Cache) hold(dir string, wait bool) bool {
	if !c.keep(dir, wait) || !intact(dir) {
		return false
	}
	touch(filepath.Join(dir, manifestName))
	return true
}

// keep holds an item's directory, and says whether it is there: until this
// process ends nobody prunes it. Who has the item's own lock may wait: nobody
// prunes it then, but a sweep may have a lock for a moment on what has just been
// renamed.
func (c *Cache) keep(dir string, wait bool) bool {
	c.inUse.mu.Lock()
	defer c.inUse.mu.Unlock()
	if f, ok := c.inUse.dirs[dir]; ok && isAt(f, dir) {
		return true
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	// A busy one is being pruned.
	if lockShared(f, wait) != nil || !isAt(f, dir) {
		f.Close()
		return false
	}
	if c.inUse.dirs == nil {
		c.inUse.dirs = map[string]*os.File{}
	}
	if old, ok := c.inUse.dirs[dir]; ok {
		old.Close()
	}
	c.inUse.dirs[dir] = f
	return true
}

// touch says that what a file marks is used now; a cache that is read only is
// used all the same.
func touch(mark string) {
	now := time.Now()
	_ = os.Chtimes(mark, now, now)
}

func lockShared(f *os.File, wait bool) error {
	how := unix.LOCK_SH
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// isAt says whether f is still what is at path.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// note names an entry that is asked for, where that is collected.
func (c *Cache) note(kind, key string) {
	if c.named != nil {
		c.named[kind+"/"+key] = true
	}
}
