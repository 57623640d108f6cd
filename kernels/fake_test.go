package kernels

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// fakeMirror is a Debian archive on 127.0.0.1 with a key of its own.
type fakeMirror struct {
	*httptest.Server
	keyring string
	arch    string // of its packages and its one index

	mu       sync.Mutex
	files    map[string][]byte           // by path
	override map[string]http.HandlerFunc // by path; wins over files
	gets     []string                    // paths that were answered with a body
	index    bytes.Buffer                // Packages
	signers  []*packet.PrivateKey
}

// archiveStart is the Last-Modified of everything on a fake mirror.
var archiveStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newKey(t testing.TB, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}
	if lifetime != 0 {
		config.Time = func() time.Time { return time.Now().Add(-2 * lifetime) }
		config.KeyLifetimeSecs = uint32(lifetime / time.Second)
	}
	key, err := openpgp.NewEntity("Fake Archive", "", "archive@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeKeyring(t testing.TB, keys ...*openpgp.Entity) string {
	t.Helper()
	var buf bytes.Buffer
	for _, k := range keys {
		if err := k.Serialize(&buf); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "keyring.gpg")
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func newFakeMirror(t testing.TB, signers ...*openpgp.Entity) *fakeMirror {
	t.Helper()
	if len(signers) == 0 {
		signers = []*openpgp.Entity{newKey(t, 0)}
	}
	m := &fakeMirror{arch: "amd64", files: map[string][]byte{}, override: map[string]http.HandlerFunc{}}
	for _, s := range signers {
		m.signers = append(m.signers, s.PrivateKey)
	}
	m.keyring = writeKeyring(t, signers...)
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *fakeMirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	data, ok := m.files[r.URL.Path]
	override := m.override[r.URL.Path]
	m.mu.Unlock()
	switch {
	case override != nil:
		override(w, r)
	case !ok:
		http.NotFound(w, r)
	default:
		if r.Header.Get("If-Modified-Since") == "" {
			m.mu.Lock()
			m.gets = append(m.gets, r.URL.Path)
			m.mu.Unlock()
		}
		http.ServeContent(w, r, "", archiveStart, bytes.NewReader(data))
	}
}

// takeGets returns what was downloaded since the last call.
func (m *fakeMirror) takeGets() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	gets := m.gets
	m.gets = nil
	return gets
}

func (m *fakeMirror) set(path string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = data
}

func (m *fakeMirror) handle(path string, h http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.override[path] = h
}

// add puts a package into the pool and the index and returns its path.
func (m *fakeMirror) add(name, version, depends string, deb []byte) string {
	path := "pool/main/l/linux/" + name + "_" + version + "_" + m.arch + ".deb"
	m.set("/"+path, deb)
	fmt.Fprintf(&m.index, "Package: %s\nVersion: %s\nArchitecture: %s\n", name, version, m.arch)
	if depends != "" {
		fmt.Fprintf(&m.index, "Depends: %s\n", depends)
	}
	fmt.Fprintf(&m.index, "Filename: %s\nSize: %d\nSHA256: %s\nDescription: a kernel\n of sorts\n\n", path, len(deb), sum(deb))
	return "/" + path
}

// publish writes the index and the InRelease file of a suite; extra are fields
// of the latter.
func (m *fakeMirror) publish(t testing.TB, suite string, extra ...string) {
	t.Helper()
	index := "Package: zlib1g\nVersion: 1\nFilename: x\nSize: 1\nSHA256: none\n\n" + m.index.String()
	packed := gzipped([]byte(index))
	dir := "/dists/" + suite + "/"
	list := "main/binary-" + m.arch + "/Packages.gz"
	m.set(dir+list, packed)
	text := "Origin: Debian\nSuite: " + suite + "\nCodename: " + suite + "-code\nDate: Fri, 02 Jan 2026 03:04:05 UTC\n"
	for _, e := range extra {
		text += e + "\n"
	}
	text += fmt.Sprintf("SHA256:\n %s %d %s\n %s 0 main/binary-i386/Packages\n", sum(packed), len(packed), list, sum(nil))
	m.set(dir+"InRelease", m.sign(t, text))
}

// sign is clearsign with one signature per key, as Debian does it.
func (m *fakeMirror) sign(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := clearsign.EncodeMulti(&buf, m.signers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(buf.Bytes(), '\n')
}

func (m *fakeMirror) config(suite string) DebianConfig {
	return DebianConfig{Suite: suite, Package: "linux-image-cloud-amd64", Mirror: m.URL, Keyring: m.keyring}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func gzipped(data []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(data)
	w.Close()
	return buf.Bytes()
}

func armored(t testing.TB, key *openpgp.Entity) string {
	t.Helper()
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return buf.String()
}

// tarFile is one member of a fake package.
type tarFile struct {
	name string
	body []byte
	kind byte // 0 for a regular file
	link string
}

// fakeDeb is a .deb whose data.tar holds files.
func fakeDeb(files ...tarFile) []byte {
	control := gzipped(tarOf(tarFile{name: "./control", body: []byte("Package: fake\nVersion: 1\nArchitecture: amd64\n")}))
	return debOf(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.gz", control}, member{"data.tar.gz", gzipped(tarOf(files...))})
}

// member is one of an ar archive.
type member struct {
	name string
	data []byte
}

// debOf is an ar archive.
func debOf(members ...member) []byte {
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		deb.Write(m.data)
		if len(m.data)%2 == 1 {
			deb.WriteByte('\n')
		}
	}
	return deb.Bytes()
}

// fakeKernel are the files of a kernel package of that release, below root
// ("./" or "./usr/") as before 7.3.
func fakeKernel(release, root string) []tarFile {
	modules := root + "lib/modules/" + release + "/"
	return []tarFile{
		{name: "./boot/", kind: tar.TypeDir},
		{name: "./boot/vmlinuz-" + release, body: fakeBzImage(release, gzipped(fakeVmlinux(true)))},
		{name: "./boot/config-" + release, body: []byte("CONFIG_SMP=y\nCONFIG_HZ=250\n# CONFIG_PREEMPT is not set\nCONFIG_EXT4_FS=y\n")},
		{name: "./boot/System.map-" + release, body: []byte("not wanted")},
		{name: modules + "modules.builtin", body: []byte("kernel/fs/ext4/ext4.ko\n")},
		{name: modules + "kernel/fs/xfs/xfs.ko", body: fakeModule("depends=libcrc32c")},
		{name: modules + "kernel/lib/libcrc32c.ko", body: fakeModule("depends=")},
		{name: modules + "kernel/sound/soundcore.ko", body: []byte("not wanted")},
	}
}

// fakeBzImage is a bzImage as far as parseBzImage looks: one setup sector
// after the boot sector, then the payload.
func fakeBzImage(release string, payload []byte) []byte {
	const start = 2 * sectorSize
	image := make([]byte, start, start+len(payload))
	image[setupSectsAt] = 1
	copy(image[headerMagicAt:], "HdrS")
	binary.LittleEndian.PutUint16(image[bootProtocolAt:], 0x020f)
	binary.LittleEndian.PutUint16(image[kernelVersionAt:], 0x100) // at 0x300
	copy(image[0x300:], release+" (builder@example.org) #1 SMP\x00")
	binary.LittleEndian.PutUint32(image[payloadLengthAt:], uint32(len(payload)))
	return append(image, payload...)
}

// fakeVmlinux is an ELF executable for x86-64 with a note segment, the PVH
// entry in it or not.
func fakeVmlinux(pvh bool) []byte {
	var note bytes.Buffer
	kind := uint32(5)
	if pvh {
		kind = pvhNote
	}
	for _, k := range []uint32{6, kind} {
		binary.Write(&note, binary.LittleEndian, []uint32{4, 4, k})
		note.WriteString("Xen\x00\x00\x00\x00\x01")
	}
	body := bytes.Repeat([]byte("kernel code, well compressible "), 4096)
	const headers = 64 + 2*56 // bytes: ELF header, two program headers
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2, Shentsize: 64,
	})
	binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: headers, Filesz: uint64(note.Len())})
	binary.Write(&out, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Off: headers + uint64(note.Len()), Filesz: uint64(len(body))})
	out.Write(note.Bytes())
	out.Write(body)
	return out.Bytes()
}

// fakeModule is an ELF object with a .modinfo section.
func fakeModule(info ...string) []byte {
	modinfo := []byte(strings.Join(info, "\x00") + "\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	var out bytes.Buffer
	at := uint64(64)
	binary.Write(&out, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: at + uint64(len(modinfo)+len(names)), Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	})
	out.Write(modinfo)
	out.Write(names)
	binary.Write(&out, binary.LittleEndian, []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: at, Size: uint64(len(modinfo)), Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: at + uint64(len(modinfo)), Size: uint64(len(names)), Addralign: 1},
	})
	return out.Bytes()
}

// testEnv has a cache of its own and keeps the events.
type testEnv struct {
	Env
	mu     sync.Mutex
	events []Event
}

func newTestEnv(t testing.TB) *testEnv {
	t.Helper()
	c, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := &testEnv{}
	e.Env = Env{Cache: c, Kernel: "k", Progress: func(ev Event) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.events = append(e.events, ev)
	}}
	return e
}

// leftovers lists temporary files and entries of the kinds that a failed fetch
// must not leave behind.
func leftovers(t testing.TB, c *Cache, kinds ...string) []string {
	t.Helper()
	var found []string
	for _, kind := range append(kinds, "tmp") {
		entries, _ := os.ReadDir(filepath.Join(c.Dir(), kind))
		for _, e := range entries {
			found = append(found, kind+"/"+e.Name())
		}
	}
	return found
}
