package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"kqual/matrix"
)

// PruneOptions say what may go from a cache.
type PruneOptions struct {
	MaxSize int64           // bytes that may stay; below 0 for any number
	MaxAge  time.Duration   // since the last use; below 0 for any time
	Keep    map[string]bool // entries that stay, as KIND/KEY; see Named
	DryRun  bool            // remove nothing
}

// Pruned is an entry that went, or would have gone.
type Pruned struct {
	Entry string    `json:"entry"` // KIND/KEY
	Bytes int64     `json:"bytes"` // on the disk
	Used  time.Time `json:"used"`  // last

	item item
}

// PruneResult says what a prune did.
type PruneResult struct {
	Removed []Pruned `json:"removed"` // least recently used first
	Freed   int64    `json:"freed_bytes"`
	Left    int64    `json:"left_bytes"` // of all entries
	Kept    int      `json:"kept"`       // entries that were due and are named by Keep
	InUse   int      `json:"in_use"`     // entries that were due and that a process uses
}

// Prune removes what was not used for MaxAge, and then the least recently used
// until MaxSize is kept. It may run beside any number of other processes: an
// entry goes by rename, under its lock, and not while a process uses it.
func (c *Cache) Prune(ctx context.Context, o PruneOptions) (PruneResult, error) {
	r := PruneResult{Removed: []Pruned{}}
	list, err := c.prunable()
	if err != nil {
		return r, err
	}
	for _, p := range list {
		r.Left += p.Bytes
	}
	slices.SortStableFunc(list, func(a, b Pruned) int { return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(a.Entry, b.Entry)) })
	now := time.Now()
	for _, p := range list {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		old := o.MaxAge >= 0 && now.Sub(p.Used) > o.MaxAge
		if !old && (o.MaxSize < 0 || r.Left <= o.MaxSize) {
			continue
		}
		if o.Keep[p.Entry] {
			r.Kept++
			continue
		}
		gone, err := c.drop(p, o.DryRun)
		if err != nil {
			return r, fmt.Errorf("prune %s: %w", p.Entry, err)
		}
		if !gone {
			r.InUse++
			continue
		}
		r.Removed = append(r.Removed, p)
		r.Freed += p.Bytes
		r.Left -= p.Bytes
	}
	return r, nil
}

// prunable lists what can be made or got again, which is every item.
func (c *Cache) prunable() ([]Pruned, error) {
	items, err := c.items()
	if err != nil {
		return nil, err
	}
	var list []Pruned
	for _, i := range items {
		info, err := i.use()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		size, err := diskSize(i.path)
		if err != nil {
			return nil, err
		}
		list = append(list, Pruned{Entry: i.String(), Bytes: size, Used: info.ModTime(), item: i})
	}
	return list, nil
}

// diskSize is the space that the files below path take, in bytes.
func diskSize(path string) (int64, error) {
	var total int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}

// drop removes an entry unless somebody makes or uses it, or has used it since
// p was listed. It says whether the entry went.
func (c *Cache) drop(p Pruned, dryRun bool) (bool, error) {
	unlock, ok, err := c.tryLock(p.item.kind.name + "-" + p.item.key)
	if !ok || err != nil {
		return false, err
	}
	defer unlock()
	path := p.item.path
	if p.item.kind.extension != "" {
		if dryRun {
			return true, nil
		}
		return true, ignoreMissing(os.Remove(path))
	}
	use := lockDir(path)
	if ok, err := use.TryLock(); !ok || err != nil {
		return false, ignoreMissing(err)
	}
	defer func() { _ = use.Unlock() }()
	if info, err := p.item.use(); err == nil && info.ModTime().After(p.Used) {
		return false, nil
	}
	if dryRun {
		return true, nil
	}
	// Under another name nobody finds it half-removed, and should this process
	// die, the next sweep goes on.
	tmp, release, err := c.Temp()
	if err != nil {
		return false, err
	}
	defer release()
	if err := os.Rename(path, filepath.Join(tmp, "entry")); err != nil {
		return false, err
	}
	return true, os.RemoveAll(tmp)
}

// tryLock is Lock that does not wait; ok is false where another has it.
func (c *Cache) tryLock(name string) (unlock func(), ok bool, err error) {
	dir := filepath.Join(c.dir, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, false, fmt.Errorf("lock the cache: %w", err)
	}
	l := flock.New(lockFile(dir, name))
	if ok, err := l.TryLock(); !ok || err != nil {
		return nil, false, err
	}
	return func() { _ = l.Unlock() }, true, nil
}

// Named lists the entries that belong to kernels, as KIND/KEY, so far as the
// cache knows: it asks no server and makes nothing. unknown are the names of the
// kernels of which it cannot tell which they are. Each of list is the kernel with
// the pin of a lock and maybe no config, or with a config alone.
func (c *Cache) Named(ctx context.Context, list []matrix.Kernel) (named map[string]bool, unknown []string) {
	look := &Cache{Offline: true, dir: c.dir, fresh: c.fresh, named: map[string]bool{}}
	for _, entry := range list {
		env := Env{Cache: look, Kernel: entry.Name, Progress: func(Event) {}}
		kernels := []matrix.Kernel{entry}
		if entry.Pin == nil {
			if variants, err := Expand(ctx, env, entry); err == nil {
				kernels = variants
			}
		}
		for _, k := range kernels {
			if !look.name(ctx, env, k) {
				unknown = append(unknown, k.Name)
			}
		}
	}
	return look.named, unknown
}

// name notes what one kernel has in the cache; what fails on the way was not
// there. It says whether it could tell which kernel that is.
func (c *Cache) name(ctx context.Context, env Env, k matrix.Kernel) bool {
	pin, ok := k.Pin.(*Pin)
	if !ok {
		var err error
		if pin, err = Resolve(ctx, env, k); err != nil {
			return false
		}
	}
	for _, kind := range cacheKinds {
		if kind.keys == nil {
			continue
		}
		for _, key := range kind.keys(pin) {
			c.note(kind.name, key)
		}
	}
	// The rest is what a fetch would look at, so far as the matrix still says.
	env.Pin = pin
	if s, ok := sources[k.Source]; ok && k.Config != nil {
		_, _ = s.Fetch(ctx, env, k.Config)
	}
	return true
}
