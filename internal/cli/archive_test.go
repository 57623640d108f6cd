package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/rogpeppe/go-internal/testscript"
)

// archive is a signed Debian archive on 127.0.0.1 for scripts, with one suite,
// testing, that has one kernel package.
type archive struct {
	server *httptest.Server
	key    *openpgp.Entity

	mu    sync.Mutex
	files map[string][]byte // by path
	asked int               // requests since the last look
}

type archiveKey struct{}

// startArchive starts one; its keyring is keyring.gpg in dir.
func startArchive(dir string) (*archive, error) {
	key, err := openpgp.NewEntity("Test Archive", "", "archive@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		return nil, err
	}
	var ring bytes.Buffer
	if err := key.Serialize(&ring); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "keyring.gpg"), ring.Bytes(), 0o644); err != nil {
		return nil, err
	}
	a := &archive{key: key, files: map[string][]byte{}}
	a.server = httptest.NewServer(a)
	return a, nil
}

// archiveVariables make kqual take an archive for Debian's.
var archiveVariables = []string{"KQUAL_DEBIAN_MIRROR", "KQUAL_DEBIAN_ARCHIVE"}

// newArchive starts one for a script.
func newArchive(env *testscript.Env) error {
	a, err := startArchive(env.WorkDir)
	if err != nil {
		return err
	}
	env.Defer(a.server.Close)
	env.Values[archiveKey{}] = a
	for _, name := range archiveVariables {
		env.Setenv(name, a.server.URL)
	}
	return nil
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked++
	data, ok := a.files[r.URL.Path]
	a.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

// archiveCommand is the script command archive:
//
//	archive release VERSION...  the suite has these versions, and no others
//	archive drop VERSION        the package's file goes
//	archive alter VERSION       the package's file gets another last byte
//	archive asked N             N requests came since the last archive asked
//	archive image VERSION       /bzImage is a kernel image
//	archive close               nobody answers any more
func archiveCommand(ts *testscript.TestScript, neg bool, args []string) {
	a, ok := ts.Value(archiveKey{}).(*archive)
	if !ok || neg || len(args) == 0 {
		ts.Fatalf("usage: archive release|drop|alter|asked|image|close ...")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch args[0] {
	case "release":
		ts.Check(a.release(args[1:]))
	case "drop":
		delete(a.files, poolPath(args[1]))
	case "alter":
		data := bytes.Clone(a.files[poolPath(args[1])])
		data[len(data)-1] ^= 1
		a.files[poolPath(args[1])] = data
	case "asked":
		if want, err := strconv.Atoi(args[1]); err != nil || want != a.asked {
			ts.Fatalf("%d requests came, want %s", a.asked, args[1])
		}
		a.asked = 0
	case "image":
		a.files["/bzImage"] = smallImage(args[1])
	case "close":
		go a.server.Close() // it waits for requests that wait for the lock
	default:
		ts.Fatalf("archive: unknown command %s", args[0])
	}
}

const packageName = "linux-image-cloud-amd64"

func poolPath(version string) string {
	return "/pool/main/l/linux/" + packageName + "_" + version + "_amd64.deb"
}

func (a *archive) release(versions []string) error {
	var index bytes.Buffer
	for _, v := range versions {
		deb := smallDeb(v)
		a.files[poolPath(v)] = deb
		fmt.Fprintf(&index, "Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: %s\nSize: %d\nSHA256: %x\n\n",
			packageName, v, strings.TrimPrefix(poolPath(v), "/"), len(deb), sha256.Sum256(deb))
	}
	packed := gzipped(index.Bytes())
	a.files["/dists/testing/main/binary-amd64/Packages.gz"] = packed
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.key.PrivateKey, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Suite: testing\nCodename: testing\nSHA256:\n %x %d main/binary-amd64/Packages.gz\n", sha256.Sum256(packed), len(packed))
	if err := w.Close(); err != nil {
		return err
	}
	a.files["/dists/testing/InRelease"] = append(signed.Bytes(), '\n')
	return nil
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// smallImage is a kernel image as far as kqual looks at one that it does not
// boot (Documentation/arch/x86/boot.rst).
func smallImage(version string) []byte {
	image := make([]byte, 1024, 1100)
	image[0x1f1] = 1 // sectors of setup
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(image[0x206:], 0x020f)
	binary.LittleEndian.PutUint16(image[0x20e:], 0x100)
	copy(image[0x300:], version+" (builder@example.org) #1 SMP\x00")
	payload := []byte("no vmlinux in here")
	binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(payload)))
	return append(image, payload...)
}

// smallDeb is a package with a small image.
func smallDeb(version string) []byte {
	pack := func(name string, body []byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg})
		_, _ = w.Write(body)
		_ = w.Close()
		return gzipped(b.Bytes())
	}
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	for _, member := range []struct {
		name string
		data []byte
	}{
		{"debian-binary", []byte("2.0\n")},
		{"control.tar.gz", pack("./control", []byte("Package: "+packageName+"\nVersion: "+version+"\nArchitecture: amd64\n"))},
		{"data.tar.gz", pack("./boot/vmlinuz-"+version, smallImage(version))},
	} {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, 0, 0, 0, "100644", len(member.data))
		deb.Write(member.data)
		if len(member.data)%2 == 1 {
			deb.WriteByte('\n')
		}
	}
	return deb.Bytes()
}
