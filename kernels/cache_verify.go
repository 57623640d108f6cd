package kernels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Damage is a file of the cache that is not what it was when it was stored.
type Damage struct {
	Entry string // KIND/KEY
	What  string // for people
}

// Verified is what Verify found.
type Verified struct {
	Checked int            // items that were looked at
	Damage  []Damage       // what is wrong with some of them
	Unknown map[string]int // items of which nothing tells, by kind
}

// Verify looks at everything in the cache, read only: it hashes every file of
// every entry, and asks the other kinds what can be told of them.
func (c *Cache) Verify(ctx context.Context) (Verified, error) {
	v := Verified{Unknown: map[string]int{}}
	items, err := c.items()
	if err != nil {
		return v, err
	}
	for _, i := range items {
		if i.kind.damaged == nil {
			v.Unknown[i.kind.name]++
			continue
		}
		v.Checked++
		what, err := i.kind.damaged(ctx, i.path)
		if err == nil && what != "" {
			if _, gone := os.Stat(i.path); errors.Is(gone, fs.ErrNotExist) {
				continue // dropped meanwhile
			}
			v.Damage = append(v.Damage, Damage{i.String(), what})
		}
		if err != nil {
			return v, fmt.Errorf("verify %s: %w", i, err)
		}
	}
	return v, nil
}

// damagedEntry says what is wrong with the entry in dir, or "".
func damagedEntry(ctx context.Context, dir string) (string, error) {
	m, err := readManifest(dir)
	if err != nil {
		return "its manifest cannot be read: " + err.Error(), nil
	}
	names := make([]string, 0, len(m.Files))
	for name := range m.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		got, err := HashFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return name + " is missing", nil
		case err != nil:
			return "", err
		case got != m.Files[name].SHA256:
			return fmt.Sprintf("%s was altered: its sha256 is %.16s…, not %.16s…", name, got, m.Files[name].SHA256), nil
		}
	}
	return "", nil
}
