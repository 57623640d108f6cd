package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAWriteReplacesTheFileAndLeavesNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	for _, text := range []string{"one", "two"} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("read %q, %v", got, err)
		}
	}
	if got := list(t, filepath.Dir(path)); !slices.Equal(got, []string{"a.json"}) {
		t.Errorf("left %q", got)
	}
}

func TestWhatCannotBeMadeLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := Write(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no such thing")
	err := WriteTo(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, strings.Repeat("half of it ", 1<<14))
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("read %q, %v", got, err)
	}
	if got := list(t, filepath.Dir(path)); !slices.Equal(got, []string{"a.json"}) {
		t.Errorf("left %q", got)
	}
}

func TestAWriteThatFailsLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	if err := os.Mkdir(path, 0o755); err != nil { // a directory cannot be replaced by a rename
		t.Fatal(err)
	}
	if err := Write(path, []byte("x")); err == nil {
		t.Error("a directory was replaced")
	}
	if got := list(t, dir); !slices.Equal(got, []string{"a.json"}) {
		t.Errorf("left %q", got)
	}
}

func TestCleanTakesOnlyWhatAWriteLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out[1]")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json", ".a.json.123", ".b.json.1", ".lock", "a.json.1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(dir, "a.json"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); !slices.Equal(got, []string{".b.json.1", ".lock", "a.json", "a.json.1"}) {
		t.Errorf("left %q", got)
	}
}
