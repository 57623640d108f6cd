package runner

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cavaliergopher/cpio"
)

func TestAnInitramfsHoldsWhatWasPutIn(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("\x7fELF…"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "initramfs.cpio")
	a, err := createArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	a.dir("dev")
	a.copyFile("init", 0o755, program)
	a.file("plan.json", 0o644, []byte("{}"))
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]string{}
	for r := cpio.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(data)
		if h.Name == "init" && h.Mode.Perm() != 0o755 {
			t.Errorf("init has mode %v", h.Mode)
		}
	}
	if len(got) != 3 || got["init"] != "\x7fELF…" || got["plan.json"] != "{}" {
		t.Errorf("got %q", got)
	}
}

func TestAnInitramfsReportsTheFirstError(t *testing.T) {
	a, err := createArchive(filepath.Join(t.TempDir(), "initramfs.cpio"))
	if err != nil {
		t.Fatal(err)
	}
	a.copyFile("init", 0o755, "/nonexistent")
	a.file("plan.json", 0o644, []byte("{}"))
	if err := a.close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
