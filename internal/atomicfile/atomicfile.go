// Package atomicfile writes files that appear whole or not at all.
package atomicfile

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts data at path as WriteTo does.
func Write(path string, data []byte) error {
	return WriteTo(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteTo puts what fill writes at path by way of a temporary file in the same
// directory, a sync and a rename: a crash at any moment leaves the old file or
// the new one, and so does an error of fill.
func WriteTo(path string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporary(filepath.Base(path)))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			if pe, ok := errors.AsType[*fs.PathError](err); ok { // the name that counts is the file's
				err = pe.Err
			}
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := cmp.Or(fill(w), w.Flush()); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// temporary is the pattern of the names of temporary files for a file.
func temporary(name string) string { return "." + name + ".*" }

// Clean removes the temporary files that a process left which was killed while
// it wrote one of these files in dir. Nobody may be writing them meanwhile.
func Clean(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range names {
			if ours, _ := filepath.Match(temporary(name), e.Name()); !ours {
				continue
			}
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}
