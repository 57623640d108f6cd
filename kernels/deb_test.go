package kernels

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstded(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return w.EncodeAll(data, nil)
}

// unpackDeb extracts everything from a package.
func unpackDeb(t *testing.T, deb []byte) (dir string, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "out")
	return dir, ExtractDeb(writeFile(t, "k.deb", string(deb)), func(string) bool { return true }, dir)
}

func TestDebWithEveryPackingOfItsFiles(t *testing.T) {
	files := tarOf(tarFile{name: "./boot/vmlinuz-1", body: []byte("image")})
	for name, data := range map[string][]byte{
		"data.tar": files, "data.tar.gz": gzipped(files), "data.tar.xz": packed(t, files, "xz"), "data.tar.zst": zstded(t, files),
		"data.tar.xz/": packed(t, files, "xz", "-9"), // as System V's ar ends names
	} {
		// What stands in the control file is never read.
		dir, err := unpackDeb(t, debOf(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.xz", []byte("no archive")}, member{name, data}))
		must(t, err)
		got, err := os.ReadFile(filepath.Join(dir, "boot/vmlinuz-1"))
		must(t, err)
		want(t, name, string(got), "image")
	}
}

func TestDebThatNobodyCanUnpackSaysWhy(t *testing.T) {
	files := tarOf(tarFile{name: "./boot/vmlinuz-1", body: []byte("image")})
	good := fakeDeb(tarFile{name: "./boot/vmlinuz-1", body: []byte("image")})
	negative := strings.Replace(string(good), "4         `", "-60       `", 1)
	// A frame that would have 1 GiB kept: magic, descriptor, window descriptor
	// (RFC 8878, 3.1.1.1), and one empty last block.
	window := []byte("\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00")
	for name, c := range map[string]struct {
		deb  []byte
		want string
	}{
		"no data":      {debOf(member{"debian-binary", []byte("2.0\n")}), "no Debian package: it has no data.tar"},
		"packing":      {debOf(member{"data.tar.bz2", files}), "no Debian package: data.tar.bz2 is packed with something else"},
		"cut off":      {good[:len(good)-3], "has a wrong size"},
		"wrong size":   {[]byte(negative), "has a wrong size"},
		"large window": {debOf(member{"data.tar.zst", window}), "window size exceeded"},
		"no tar":       {debOf(member{"data.tar.gz", gzipped([]byte(strings.Repeat("x", 1024)))}), "invalid tar header"},
	} {
		if _, err := unpackDeb(t, c.deb); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
}
