package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"

	"kqual/internal/rpmtest"
	"kqual/matrix"
)

// rpmKernel is kernel-core and kernel-modules of the kernel below tree.
func rpmKernel(t *testing.T, tree, release, compression string) packageFiles {
	t.Helper()
	var c packageFiles
	for _, path := range rpmtest.Kernel(t, tree, release, compression) {
		sum, err := HashFile(path)
		must(t, err)
		c.Packages = append(c.Packages, blob{Path: path, SHA256: sum})
	}
	return c
}

func TestRPMFilesBecomeAKernel(t *testing.T) {
	inModules := []tarFile{ // where Fedora has the image since 5.x
		{name: "./lib/modules/" + aRelease + "/vmlinuz", body: fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))},
		{name: "./lib/modules/" + aRelease + "/kernel/fs/xfs/xfs.ko", body: fakeModule("depends=libcrc32c")},
		{name: "./lib/modules/" + aRelease + "/kernel/lib/libcrc32c.ko", body: fakeModule("depends=")},
	}
	for compression, files := range map[string][]tarFile{
		"w9.gzdio": fakeKernel(aRelease, "./"), "w2.xzdio": inModules, "w3.zstdio": fakeKernel(aRelease, "./"), "w.ufdio": inModules,
	} {
		t.Run(compression, func(t *testing.T) {
			tree := t.TempDir()
			must(t, extractTar(bytes.NewReader(tarOf(files...)), func(string) bool { return true }, tree))
			c := rpmKernel(t, tree, aRelease, compression)
			local := c.Packages[0].Path
			data, err := os.ReadFile(local)
			must(t, err)
			c.Packages[0] = blob{URL: serve(t, data) + "/kernel-core.rpm", SHA256: sum(data)}
			img, err := rpmSource{}.Fetch(t.Context(), newTestEnv(t).Env, c)
			must(t, err)
			isKernel(t, img, "rpm", true)
			if want := sum(data) + " " + c.Packages[1].SHA256; img.Provenance.Details["file_sha256"] != want {
				t.Errorf("provenance %+v", img.Provenance)
			}
		})
	}
}

// cpioFile is an entry of a payload made by hand.
type cpioFile struct {
	cpio.Header
	body string
}

// payload is a cpio archive without its trailer, which end adds.
func payload(t testing.TB, end bool, files ...cpioFile) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	for _, f := range files {
		if f.Size == 0 {
			f.Size = int64(len(f.body))
		}
		if f.Mode == 0 {
			f.Mode = cpio.TypeReg | 0o644
		}
		must(t, w.WriteHeader(&f.Header))
		_, err := w.Write([]byte(f.body))
		must(t, err)
	}
	if end {
		must(t, w.Close())
	}
	return buf.Bytes()
}

// handmade is an .rpm with empty headers and that payload.
func handmade(payload []byte) []byte {
	lead := make([]byte, rpmLead)
	binary.BigEndian.PutUint32(lead, rpmLeadMagic)
	intro := make([]byte, rpmHeaderIntro)
	binary.BigEndian.PutUint32(intro, rpmHeaderMagic)
	return bytes.Join([][]byte{lead, intro, intro, payload}, nil)
}

func named(name, body string) cpioFile { return cpioFile{cpio.Header{Name: name}, body} }

func TestRPMThatIsNotWhatItShouldBeIsRefused(t *testing.T) {
	vmlinuz := string(fakeBzImage(aRelease, gzipped(fakeVmlinux(true))))
	good := handmade(gzipped(payload(t, true, named("./boot/vmlinuz-1", vmlinuz))))
	negative := payload(t, true, named("./boot/vmlinuz-1", "12345678"))
	copy(negative[54:62], "-0000008")
	longHeader := handmade(nil)
	binary.BigEndian.PutUint32(longHeader[rpmLead+8:], 0xffffffff)
	source := handmade(nil)
	source[7] = rpmSourceType
	cut := payload(t, true, named("./boot/vmlinuz-1", vmlinuz))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"no package":     {[]byte("hello"), "no rpm package"},
		"source package": {source, "it is a source package"},
		"header":         {longHeader, "it is cut off"},
		"lead only":      {good[:rpmLead], "it is cut off"},
		"no payload":     {handmade(nil), "cut off before its payload"},
		"packing":        {handmade([]byte("BZh91AY&SY")), "no cpio archive packed with gzip, xz or zstd"},
		"large file":     {handmade([]byte("07070X00000001")), "more than 4 GiB"},
		"cut":            {good[:len(good)-40], "it is cut off"},
		"cut in a file":  {handmade(cut[:len(cut)/2]), "it is cut off"},
		"no trailer":     {handmade(payload(t, false, named("./boot/vmlinuz-1", vmlinuz))), "it is cut off"},
		"path":           {handmade(payload(t, true, named("./../../etc/vmlinuz", "x"))), "outside its root"},
		"absolute":       {handmade(payload(t, true, named("/boot/vmlinuz-1", "x"))), "outside its root"},
		"size":           {handmade(negative), "wrong size"},
		"device": {handmade(payload(t, true, cpioFile{Header: cpio.Header{Name: "./boot/vmlinuz-1", Mode: cpio.TypeBlock | 0o644}},
			cpioFile{cpio.Header{Name: "./boot/vmlinuz-2", Mode: cpio.TypeSymlink | 0o777}, "/etc/passwd"})), "no vmlinuz in k.rpm"},
		"two kernels":     {handmade(payload(t, true, named("./boot/vmlinuz-1", vmlinuz), named("./boot/vmlinuz-2", vmlinuz))), "more than one kernel"},
		"link to nothing": {handmade(payload(t, true, cpioFile{Header: cpio.Header{Name: "./boot/vmlinuz-1", Links: 2, Inode: 7}})), "no vmlinuz"},
	} {
		t.Run(name, func(t *testing.T) {
			failsWith(t, rpmSource{}, packageFiles{Packages: []blob{{URL: serve(t, test.data) + "/k.rpm", SHA256: sum(test.data)}}}, test.want, "rpm")
		})
	}
	failsWith(t, rpmSource{}, packageFiles{Packages: []blob{{URL: serve(t, good) + "/k.rpm", SHA256: strings.Repeat("0", 64)}}}, "wrong hash", "rpm")
}

func TestRPMBombEndsAtTheLimit(t *testing.T) {
	claim := payload(t, false, named("./usr/share/zeros", ""))
	copy(claim[54:62], fmt.Sprintf("%08X", maxExtracted+1)) // the size it claims is refused, nothing is unpacked
	dst := t.TempDir()
	path := filepath.Join(t.TempDir(), "k.rpm")
	must(t, os.WriteFile(path, handmade(gzipped(claim)), 0o644))
	err := ExtractRPM(path, wantedFile, dst)
	if f, ok := err.(*matrix.Failure); !ok || !strings.Contains(f.Reason, "unpacks to more than") {
		t.Errorf("error %v", err)
	}
}

func TestRPMHardLinksHaveTheirContent(t *testing.T) {
	link := cpio.Header{Links: 2, Inode: 7}
	first, second := link, link
	first.Name, second.Name = "./lib/modules/1/kernel/a.ko", "./lib/modules/1/kernel/b.ko"
	path := filepath.Join(t.TempDir(), "k.rpm")
	must(t, os.WriteFile(path, handmade(payload(t, true, cpioFile{Header: first}, cpioFile{second, "module"})), 0o644))
	dst := t.TempDir()
	must(t, ExtractRPM(path, wantedFile, dst))
	for _, name := range []string{first.Name, second.Name} {
		if data, err := os.ReadFile(filepath.Join(dst, name)); err != nil || string(data) != "module" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

// Whatever a package holds, only regular files that were asked for come out of
// it, and nothing outside the directory.
func FuzzRPM(f *testing.F) {
	good := payload(f, true, named("./boot/vmlinuz-1", "image"), named("./../x", "x"),
		cpioFile{cpio.Header{Name: "./boot/vmlinuz-2", Mode: cpio.TypeSymlink | 0o777}, "/etc/passwd"})
	f.Add(handmade(good))
	f.Add(handmade(gzipped(good)))
	f.Add(handmade(good[:len(good)/2]))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer := t.TempDir()
		path, dst := filepath.Join(outer, "k.rpm"), filepath.Join(outer, "a", "b")
		must(t, os.WriteFile(path, data, 0o644))
		must(t, os.MkdirAll(dst, 0o755))
		_ = ExtractRPM(path, func(string) bool { return true }, dst)
		must(t, filepath.WalkDir(outer, func(p string, d os.DirEntry, err error) error {
			if err == nil && p != path && !d.IsDir() && (!strings.HasPrefix(p, dst+"/") || !d.Type().IsRegular()) {
				t.Errorf("%s came out", p)
			}
			return err
		}))
	})
}
