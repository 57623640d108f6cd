package kernels

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// moduleTree writes modules below a directory: path → content.
func moduleTree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, "kernel", name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, body, 0o644))
	}
	return dir
}

func TestModulesComeAfterWhatTheyDependOn(t *testing.T) {
	enc, err := zstd.NewWriter(nil)
	must(t, err)
	dir := moduleTree(t, map[string][]byte{
		"fs/btrfs/btrfs.ko": fakeModule("license=GPL", "softdep=pre: crc32c xxhash64 post: later", "softdep=pre: blake2b-256",
			"depends=raid6_pq,xor,libcrc32c"),
		"lib/raid6/raid6_pq.ko.gz":      gzipped(fakeModule("depends=")),
		"crypto/xor.ko.zst":             enc.EncodeAll(fakeModule("depends=raid6_pq"), nil),
		"lib/libcrc32c.ko":              fakeModule("name=libcrc32c"),
		"crypto/crc32c.ko":              fakeModule("depends="),
		"misc/later.ko":                 fakeModule("depends="),
		"drivers/block/virtio-blk.ko":   fakeModule("depends=virtio-ring"),
		"drivers/virtio/virtio_ring.ko": fakeModule("depends="),
		"fs/a.ko":                       fakeModule("depends=b"),
		"fs/b.ko":                       fakeModule("depends=a"),
		"fs/orphan.ko":                  fakeModule("depends=gone"),
		"fs/notes.kotxt":                []byte("no module"),
	})
	tests := []struct{ want, order, missing []string }{
		{[]string{"btrfs"}, []string{"raid6_pq", "xor", "libcrc32c", "crc32c", "btrfs"}, nil},
		{[]string{"virtio_blk", "virtio-blk"}, []string{"virtio_ring", "virtio_blk"}, nil},
		{[]string{"a", "ext4"}, []string{"b", "a"}, []string{"ext4"}},
		{[]string{"orphan"}, []string{"orphan"}, []string{"gone"}},
		{[]string{"notes"}, nil, []string{"notes"}},
		{nil, nil, nil},
	}
	for _, tt := range tests {
		order, err := LoadOrder(dir, tt.want)
		must(t, err)
		if got := names(order.Modules); !slices.Equal(got, tt.order) || !slices.Equal(order.Missing, tt.missing) {
			t.Errorf("%v: order %v, missing %v; want %v, %v", tt.want, got, order.Missing, tt.order, tt.missing)
		}
		for _, m := range order.Modules {
			if data, err := m.Read(); err != nil || string(data[1:4]) != "ELF" {
				t.Errorf("read %s: %v", m.Path, err)
			}
		}
	}
}

func TestModulesPackedWithXZ(t *testing.T) {
	// scripts/Makefile.modinst: xz --check=crc32 --lzma2=dict=1MiB; older
	// kernels add the x86 filter.
	want := fakeModule("depends=")
	for _, args := range [][]string{{"--check=crc32", "--lzma2=dict=1MiB"}, {"--check=crc32", "--x86", "--lzma2=dict=1MiB"}} {
		dir := moduleTree(t, map[string][]byte{"fs/xfs/xfs.ko.xz": packed(t, want, "xz", args...)})
		order, err := LoadOrder(dir, []string{"xfs"})
		must(t, err)
		if data, err := order.Modules[0].Read(); err != nil || string(data) != string(want) {
			t.Errorf("%v: %d bytes, %v", args, len(data), err)
		}
	}
}

func TestDamagedModuleIsAnError(t *testing.T) {
	for name, body := range map[string][]byte{
		"x.ko": []byte("no ELF"), "x.ko.xz": []byte("no xz"), "x.ko.gz": gzipped(fakeModule("depends="))[:30], "x.ko.zst": {1, 2, 3, 4, 5, 6, 7, 8},
	} {
		if _, err := LoadOrder(moduleTree(t, map[string][]byte{name: body}), []string{"x"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := LoadOrder("/nonexistent", []string{"x"}); err == nil {
		t.Error("no directory: no error")
	}
}
