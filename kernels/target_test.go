package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"kqual/matrix"
)

// fakeImage is an Image as far as parseArm64 looks.
func fakeImage(release string) []byte {
	image := make([]byte, 64, 1<<16)
	copy(image, "MZ")
	copy(image[arm64MagicAt:], arm64Magic)
	image = append(image, bytes.Repeat([]byte("kernel code, well compressible "), 1024)...)
	// The kernel has the words in other places, too.
	image = append(image, "Linux version is unknown\x00Linux version "...)
	image = append(image, 0)
	return append(image, "Linux version "+release+" (builder@example.org) (gcc) #1 SMP\n\x00"...)
}

// fakeZboot is a vmlinuz.efi as far as parseArm64 looks. The size that the head
// has of the payload leaves out the last after bytes.
func fakeZboot(machine uint16, payload []byte, after int) []byte {
	const pe, start = 0x40, 0x1000
	image := make([]byte, start, start+len(payload)+512)
	copy(image, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(image[zbootPayloadAt:], start)
	binary.LittleEndian.PutUint32(image[zbootSizeAt:], uint32(len(payload)-after))
	binary.LittleEndian.PutUint32(image[zbootMachineAt:], pe)
	copy(image[pe:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(image[pe+4:], machine)
	return append(append(image, payload...), make([]byte, 512)...) // the program that unpacks it
}

func TestAnImageBootsAsItIsOrUnpacked(t *testing.T) {
	want := fakeImage("6.12.1-cloud-arm64")
	w, err := zstd.NewWriter(nil)
	must(t, err)
	for name, image := range map[string][]byte{
		"plain": want, "gzip": gzipped(want), "zboot gzip": fakeZboot(peMachineARM64, gzipped(want), 0),
		"zboot zstd": fakeZboot(peMachineARM64, withSize(w.EncodeAll(want, nil), len(want)), 4),
		"zboot xz":   fakeZboot(peMachineARM64, withSize(packed(t, want, "xz", "--check=crc32", "--lzma2=dict=32MiB"), len(want)), 4),
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestEnv(t)
			e.Arch = "arm64"
			path := filepath.Join(t.TempDir(), "Image")
			must(t, os.WriteFile(path, image, 0o644))
			img, err := fileSource{}.Fetch(t.Context(), e.Env, fileConfig{Vmlinuz: path})
			must(t, err)
			if p := img.Provenance; img.Release != "6.12.1-cloud-arm64" || p.Version != img.Release || p.Arch != "arm64" {
				t.Errorf("release %q, %+v", img.Release, p)
			}
			if (img.Vmlinux == "") != (name == "plain") {
				t.Fatalf("boots %q", img.Vmlinux)
			}
			if img.Vmlinux == "" {
				return
			}
			got, err := os.ReadFile(img.Vmlinux)
			if must(t, err); !bytes.Equal(got, want) {
				t.Errorf("unpacked %d bytes, want %d", len(got), len(want))
			}
			must(t, img.Verify())
		})
	}
}

func TestAWrongImageIsSaid(t *testing.T) {
	image := fakeImage("6.1.0")
	x86 := fakeBzImage("6.1.0", gzipped(fakeVmlinux(true)))
	for name, tt := range map[string]struct {
		arch  string
		image []byte
		want  string
		hint  string
	}{
		"arm64 for amd64":    {"", image, "is a kernel for arm64, and the matrix says amd64", "write arch: arm64"},
		"packed for amd64":   {"amd64", gzipped(image), "is a kernel for arm64, and the matrix says amd64", "write arch: arm64"},
		"amd64 for arm64":    {"arm64", x86, "is a kernel for amd64, and the matrix says arm64", "write arch: amd64"},
		"text":               {"arm64", []byte("hello"), "not an arm64 kernel image", "name an Image of arm64"},
		"gzip of text":       {"arm64", gzipped(bytes.Repeat([]byte("hello"), 99)), "not an arm64 kernel image", "name an Image"},
		"another zboot":      {"arm64", fakeZboot(0x5064, gzipped(image), 0), "of another architecture", "name an Image"},
		"zboot cut off":      {"arm64", fakeZboot(peMachineARM64, gzipped(image), 0)[:0x1010], "reaches past its end", "name an Image"},
		"zboot without head": {"arm64", []byte("MZ\x00\x00zimg"), "truncated vmlinuz.efi", "name an Image"},
		"zboot of lzo":       {"arm64", fakeZboot(peMachineARM64, withSize([]byte("\x89LZO....."), 9), 4), "unknown compression", ""},
		"zboot of text":      {"arm64", fakeZboot(peMachineARM64, gzipped(bytes.Repeat([]byte("hello"), 99)), 0), "no Image of arm64", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestEnv(t)
			e.Arch = tt.arch
			path := filepath.Join(t.TempDir(), "vmlinuz")
			must(t, os.WriteFile(path, tt.image, 0o644))
			_, err := fileSource{}.Fetch(t.Context(), e.Env, fileConfig{Vmlinuz: path})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			var f *matrix.Failure
			if tt.hint != "" && (!errors.As(err, &f) || !strings.Contains(f.Hint, tt.hint)) {
				t.Errorf("%+v, want the hint %q", err, tt.hint)
			}
			if left := leftovers(t, e.Cache, "vmlinux"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestADebianKernelOfAnotherArchitecture(t *testing.T) {
	const release = "6.12.1-cloud-arm64"
	m := newFakeMirror(t)
	m.arch = "arm64"
	m.add("linux-image-cloud-arm64", "6.12.1-1", "", fakeDeb(
		tarFile{name: "./boot/vmlinuz-" + release, body: fakeImage(release)},
		tarFile{name: "./boot/config-" + release, body: []byte("CONFIG_ARM64=y\n")},
	))
	m.publish(t, "testing")
	c := m.config("testing")
	c.Package = "linux-image-cloud-arm64"
	k := matrix.Kernel{Name: "k", Source: "debian", Config: c, Machine: matrix.Machine{Arch: "arm64"}}
	img, err := Fetch(t.Context(), newTestEnv(t).Env, k)
	must(t, err)
	if img.Release != release || img.Provenance.Arch != "arm64" || img.Provenance.Version != "6.12.1-1" {
		t.Errorf("%+v", img)
	}
}

func TestALockKnowsTheArchitecture(t *testing.T) {
	amd64 := matrix.Kernel{Name: "k", Source: "file", Config: fileConfig{Vmlinuz: "v"}, Machine: matrix.Machine{Arch: "amd64"}}
	arm64, old := amd64, amd64
	arm64.Machine.Arch, old.Machine.Arch = "arm64", ""
	hash := func(k matrix.Kernel) string {
		h, err := EntryHash(k)
		must(t, err)
		return h
	}
	if hash(amd64) != hash(old) || hash(amd64) == hash(arm64) {
		t.Error("an entry is another one if its architecture is, and only then")
	}
	path := filepath.Join(t.TempDir(), "m.lock")
	l, err := NewLock(path, []matrix.Kernel{arm64})
	must(t, err)
	must(t, l.Add(arm64, arm64, Pin{Files: []PinnedFile{{Path: "v", SHA256: sum(nil)}}, Image: sum(nil)}))
	must(t, l.Save())
	l, err = LoadLock(path)
	must(t, err)
	if !l.Fits([]matrix.Kernel{arm64}) || l.Fits([]matrix.Kernel{amd64}) {
		t.Error("the lock fits the other architecture")
	}
	if got := l.All()[0].Machine.Architecture(); got != "arm64" {
		t.Errorf("the lock has it as %s", got)
	}
	l.Kernels[0].Arch = "vax"
	must(t, l.Save())
	if _, err := LoadLock(path); err == nil || !strings.Contains(err.Error(), `unknown architecture "vax"`) {
		t.Errorf("error %v", err)
	}
}

func TestArchitecturesAreListed(t *testing.T) {
	if got := Architectures(); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("%v", got)
	}
}

func FuzzArm64Image(f *testing.F) {
	f.Add(fakeImage("6.1.0-1"))
	f.Add(fakeZboot(peMachineARM64, gzipped(fakeImage("6.1.0-1")), 0))
	f.Add(gzipped(fakeImage("6.1.0-1")))
	f.Fuzz(func(t *testing.T, image []byte) {
		h, err := parseArm64(image)
		if err == nil && strings.ContainsAny(h.release, " \x00\n") {
			t.Errorf("release %q", h.release)
		}
	})
}
