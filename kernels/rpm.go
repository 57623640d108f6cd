package kernels

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cavaliergopher/cpio"
	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(rpmSource{})
	declareKind(entryKind("rpm", (*Pin).unpacked))
}

// rpmSource takes a kernel out of .rpm files: kernel-core with the image and
// the packages that its modules are spread over.
type rpmSource struct{}

func (rpmSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name: "rpm",
		Doc:  "a kernel in .rpm files on this machine or at a URL, verified by their sha256",
		Decode: func(node *yaml.Node, path string) (any, matrix.Problems) {
			var c packageFiles
			problems := matrix.DecodeStrict(node, path, &c)
			return c, problems
		},
		Cost: func(config any) string { return config.(packageFiles).cost() },
	}
}

// Resolve has nothing to look up where the matrix names the files by their
// hashes.
func (rpmSource) Resolve(ctx context.Context, env Env, config any) (*Pin, error) {
	return pinBlobs(ctx, env, config.(packageFiles).Packages)
}

func (rpmSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	return config.(packageFiles).fetch(ctx, env, "rpm", ExtractRPM)
}

// The parts of a package file, as rpm-format of rpm 4 describes them: a lead of
// fixed size, a header with signatures, padded, and one about the package; then
// the payload, a cpio archive.
const (
	rpmLead        = 96 // bytes
	rpmLeadMagic   = 0xedabeedb
	rpmSourceType  = 1 // in the lead
	rpmHeaderMagic = 0x8eade801
	rpmHeaderIntro = 16 // bytes: magic, reserved, number of entries, size of their data
	rpmHeaderEntry = 16 // bytes
	rpmSigPadding  = 8  // bytes
)

// ExtractRPM is ExtractDeb for .rpm files. Its payload may be packed with gzip,
// xz or zstd.
func ExtractRPM(rpmPath string, filter func(name string) bool, dst string) error {
	f, err := os.Open(rpmPath)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := rpmPayload(f)
	if err != nil {
		return badPackage(fmt.Sprintf("no rpm package: %v", err))
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	plain, done, err := decompressed(f)
	if err != nil {
		return err
	}
	defer done()
	archive := bufio.NewReader(plain)
	switch magic, _ := archive.Peek(6); string(magic) {
	case "070701", "070702": // newc
	case "07070X": // what rpm writes where a file does not fit into newc
		return badPackage("it has a file of more than 4 GiB")
	case "":
		return badPackage("it is cut off before its payload")
	default:
		return badPackage("its payload is no cpio archive packed with gzip, xz or zstd")
	}
	return extractCpio(archive, filter, dst)
}

// rpmPayload is where the payload begins. Nothing but the sizes of the headers
// is read: what they say of the files is said by the archive, too.
func rpmPayload(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	lead := make([]byte, rpmLead)
	if _, err := f.ReadAt(lead, 0); err != nil || binary.BigEndian.Uint32(lead) != rpmLeadMagic {
		return 0, errors.New("it does not begin as one")
	}
	if binary.BigEndian.Uint16(lead[6:]) == rpmSourceType {
		return 0, errors.New("it is a source package")
	}
	at := int64(rpmLead)
	for _, padding := range []int64{rpmSigPadding, 1} {
		intro := make([]byte, rpmHeaderIntro)
		if _, err := f.ReadAt(intro, at); err != nil {
			return 0, errors.New("it is cut off")
		}
		if binary.BigEndian.Uint32(intro) != rpmHeaderMagic {
			return 0, fmt.Errorf("no header at byte %d", at)
		}
		entries, data := int64(binary.BigEndian.Uint32(intro[8:])), int64(binary.BigEndian.Uint32(intro[12:]))
		at += rpmHeaderIntro + entries*rpmHeaderEntry + (data+padding-1)/padding*padding
		if at > info.Size() {
			return 0, errors.New("it is cut off")
		}
	}
	return at, nil
}

// cpioEntry is about what an entry of a cpio archive takes beside its file, in
// bytes. It counts, so that there is an end to empty files.
const cpioEntry = 128

// extractCpio is extractMembers for cpio archives.
func extractCpio(r io.Reader, filter func(name string) bool, dst string) error {
	ended := &endedReader{r: r}
	archive := cpio.NewReader(ended)
	links := map[int64][]string{} // by inode: names whose content comes with a later one
	var total int64
	for {
		h, err := archive.Next()
		switch {
		case err == io.EOF && !ended.ended:
			return nil // the trailer
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return badPackage("it is cut off")
		case err != nil:
			return badPackage(fmt.Sprintf("unpack its payload: %v", err))
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if !filepath.IsLocal(name) {
			return badPackage(fmt.Sprintf("it has a file %q outside its root", h.Name))
		}
		if h.Size < 0 {
			return badPackage(fmt.Sprintf("%q has a wrong size", name))
		}
		if total += h.Size + cpioEntry; total > maxExtracted {
			return badPackage(fmt.Sprintf("it unpacks to more than %d bytes at %q", int64(maxExtracted), name))
		}
		if !h.Mode.IsRegular() || !filter(name) {
			continue
		}
		if h.Links > 1 && h.Size == 0 {
			links[h.Inode] = append(links[h.Inode], name)
			continue
		}
		file := filepath.Join(dst, name)
		if err := extractFile(archive, h.Size, file); err != nil {
			var host *fs.PathError
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return badPackage("it is cut off in " + name)
			case !errors.As(err, &host):
				return badPackage(fmt.Sprintf("unpack %s: %v", name, err))
			}
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		for _, other := range links[h.Inode] {
			if err := os.MkdirAll(filepath.Join(dst, filepath.Dir(other)), 0o755); err != nil {
				return err
			}
			if err := os.Link(file, filepath.Join(dst, other)); err != nil {
				return fmt.Errorf("unpack %s: %w", other, err)
			}
		}
		delete(links, h.Inode)
	}
}

// endedReader remembers that its reader came to its end.
type endedReader struct {
	r     io.Reader
	ended bool
}

func (e *endedReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.ended = e.ended || err == io.EOF
	return n, err
}
