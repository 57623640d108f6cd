package kernels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cacheKind is one kind of thing that a cache keeps: a directory of its own with
// one item per key. The file that puts items there declares it; Prune, Verify
// and Named know of no other list.
type cacheKind struct {
	name string // the directory, below the cache's
	// extension is of items that are files; empty where they are directories.
	extension string
	// mark is the file of an item whose time tells of its last use; the item's
	// own where it is empty, and where there is no such file.
	mark string
	// keys are the items that belong to a pinned kernel, so far as the pin tells;
	// nil where only a fetch tells.
	keys func(*Pin) []string
	// damaged says what is wrong with an item, or ""; nil where nothing can tell.
	damaged func(ctx context.Context, path string) (string, error)
}

var cacheKinds = map[string]cacheKind{}

// declareKind is called by the file that a kind of item comes from.
func declareKind(k cacheKind) { cacheKinds[k.name] = k }

// entryKind is a kind of which Cache.Entry makes the items.
func entryKind(name string, keys func(*Pin) []string) cacheKind {
	return cacheKind{name: name, mark: manifestName, keys: keys, damaged: damagedEntry}
}

// noItems are directories of a cache that hold its workings.
var noItems = []string{"tmp", "locks"}

// item is something that a cache keeps.
type item struct {
	kind cacheKind
	key  string
	path string
}

func (i item) String() string { return i.kind.name + "/" + i.key }

// items lists everything that a cache keeps, by kind and key. A directory that
// no file declares is of an older or newer kqual: its entries are known by their
// manifests, and what is none is left alone.
func (c *Cache) items() ([]item, error) {
	dirs, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("read the cache: %w", err)
	}
	var list []item
	for _, d := range dirs {
		if !d.IsDir() || slices.Contains(noItems, d.Name()) {
			continue
		}
		kind, declared := cacheKinds[d.Name()]
		if !declared {
			kind = entryKind(d.Name(), nil)
		}
		found, err := os.ReadDir(filepath.Join(c.dir, kind.name))
		if err != nil {
			return nil, fmt.Errorf("read the cache: %w", err)
		}
		for _, f := range found {
			key, ok := strings.CutSuffix(f.Name(), kind.extension)
			i := item{kind, key, filepath.Join(c.dir, kind.name, f.Name())}
			if !ok || f.IsDir() != (kind.extension == "") {
				continue
			}
			if _, err := os.Stat(filepath.Join(i.path, kind.mark)); !declared && err != nil {
				continue
			}
			list = append(list, i)
		}
	}
	return list, nil
}

// use is the file or directory whose time tells when an item was used last.
func (i item) use() (fs.FileInfo, error) {
	info, err := os.Stat(filepath.Join(i.path, i.kind.mark))
	if errors.Is(err, fs.ErrNotExist) {
		return os.Stat(i.path)
	}
	return info, err
}
