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

// Verify hashes every file of every entry, read only. It returns how many
// entries it found and what is wrong with them.
func (c *Cache) Verify(ctx context.Context) (entries int, damage []Damage, err error) {
	manifests, err := fs.Glob(os.DirFS(c.dir), "*/*/"+manifestName) // the cache's own path may hold a [
	if err != nil {
		return 0, nil, err
	}
	for _, path := range manifests {
		dir := filepath.Join(c.dir, filepath.Dir(path))
		kind := filepath.Base(filepath.Dir(dir))
		if kind == "tmp" {
			continue // half-made
		}
		entries++
		entry := kind + "/" + filepath.Base(dir)
		what, err := damaged(ctx, dir)
		switch {
		case err != nil:
			return entries, damage, fmt.Errorf("verify %s: %w", entry, err)
		case what != "":
			damage = append(damage, Damage{entry, what})
		}
	}
	return entries, damage, nil
}

// damaged says what is wrong with the entry in dir, or "".
func damaged(ctx context.Context, dir string) (string, error) {
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
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				return "", nil // dropped meanwhile
			}
			return name + " is missing", nil
		case err != nil:
			return "", err
		case got != m.Files[name].SHA256:
			return fmt.Sprintf("%s was altered: its sha256 is %.16s…, not %.16s…", name, got, m.Files[name].SHA256), nil
		}
	}
	return "", nil
}
