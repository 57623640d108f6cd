package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// withSize appends the unpacked size, as the kernel's build does.
func withSize(packed []byte, size int) []byte {
	return binary.LittleEndian.AppendUint32(packed, uint32(size))
}

// packed compresses data with a program of the host.
func packed(t *testing.T, data []byte, program string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("no %s here", program)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVmlinuxIsExtractedFromEveryCompression(t *testing.T) {
	want := fakeVmlinux(true)
	formats := map[string]func(t *testing.T) []byte{
		"gzip": func(t *testing.T) []byte { return gzipped(want) },
		"zstd": func(t *testing.T) []byte {
			w, err := zstd.NewWriter(nil)
			must(t, err)
			return withSize(w.EncodeAll(want, nil), len(want))
		},
		"lz4": func(t *testing.T) []byte {
			var buf bytes.Buffer
			w := lz4.NewWriter(&buf)
			must(t, w.Apply(lz4.LegacyOption(true)))
			_, err := w.Write(want)
			must(t, err)
			must(t, w.Close())
			return withSize(buf.Bytes(), len(want))
		},
		// xz with the options of the kernel's scripts/xz_wrap.sh.
		"xz": func(t *testing.T) []byte {
			return withSize(packed(t, want, "xz", "--check=crc32", "--x86", "--lzma2=dict=32MiB"), len(want))
		},
		"lzma":  func(t *testing.T) []byte { return withSize(packed(t, want, "xz", "--format=lzma", "-9"), len(want)) },
		"bzip2": func(t *testing.T) []byte { return withSize(packed(t, want, "bzip2", "-9"), len(want)) },
	}
	for name, pack := range formats {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "vmlinux")
			h, err := parseBzImage(fakeBzImage("6.1.0-1", pack(t)))
			if err != nil || h.release != "6.1.0-1" {
				t.Fatalf("release %q, %v", h.release, err)
			}
			must(t, h.write(h.payload, dst))
			got, err := os.ReadFile(dst)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
		})
	}
}

// The size of a dictionary is refused before anything is made for it.
func TestVmlinuxOfALargeDictionaryIsRefused(t *testing.T) {
	payload := withSize([]byte("\x5d\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00"), 100)
	if _, err := unpackPayload(payload, io.Discard); err == nil || !strings.Contains(err.Error(), "a dictionary of 4278190080 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestImageWithoutVmlinuxBootsAsItIs(t *testing.T) {
	good := fakeVmlinux(true)
	cut := gzipped(good[:len(good)/2])
	wrongSize := gzipped(good)
	binary.LittleEndian.PutUint32(wrongSize[len(wrongSize)-4:], uint32(len(good)-1))
	damaged := gzipped(good)
	damaged[len(damaged)/2] ^= 0xff
	for name, payload := range map[string][]byte{
		"no PVH note": gzipped(fakeVmlinux(false)), "no ELF": gzipped([]byte("hello")), "unknown compression": []byte("LZOP....."),
		"cut off": cut, "wrong size": wrongSize, "damaged": damaged, "empty": nil, "cut off packed": gzipped(good)[:200],
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestEnv(t)
			path := filepath.Join(t.TempDir(), "vmlinuz")
			must(t, os.WriteFile(path, fakeBzImage("6.1.0-1", payload), 0o644))
			dst := filepath.Join(t.TempDir(), "vmlinux")
			if err := writeVmlinux(payload, dst); !errors.Is(err, errNoPVH) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Stat(dst); err == nil {
				t.Error("what does not boot is left behind")
			}
			img, err := fileSource{}.Fetch(t.Context(), e.Env, fileConfig{Vmlinuz: path})
			if err != nil || img.Vmlinux != "" || img.Release != "6.1.0-1" {
				t.Errorf("image %+v, %v", img, err)
			}
		})
	}
}

func TestWhatBootsOfARealKernel(t *testing.T) {
	dir, err := DefaultCacheDir()
	if err != nil {
		t.Skip(err)
	}
	images, _ := filepath.Glob(filepath.Join(dir, "debian", "*", "vmlinuz"))
	if len(images) == 0 || testing.Short() {
		t.Skip("no Debian kernel in the cache")
	}
	for _, path := range images {
		image, err := os.ReadFile(path)
		must(t, err)
		h, err := parseArm64(image)
		if err != nil {
			h, err = parseBzImage(image)
		}
		if err != nil || h.release == "" {
			t.Errorf("%s: release %q, %v", path, h.release, err)
			continue
		}
		size := int64(len(image))
		if h.write != nil {
			dst := filepath.Join(t.TempDir(), "vmlinux")
			if err := h.write(h.payload, dst); err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			info, err := os.Stat(dst)
			must(t, err)
			size = info.Size()
		}
		t.Logf("%s: %d MB", h.release, size>>20)
	}
}

func FuzzBzImage(f *testing.F) {
	f.Add(fakeBzImage("6.1.0-1", gzipped(fakeVmlinux(true))))
	f.Add(fakeBzImage("", nil))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, image []byte) {
		h, err := parseBzImage(image)
		if err != nil || strings.ContainsAny(h.release, " \x00") {
			return
		}
		hasPVHEntry(bytes.NewReader(h.payload), int64(len(h.payload)))
	})
}
