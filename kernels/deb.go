package kernels

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kqual/matrix"
)

const (
	// maxExtracted bounds what is taken out of a package, in bytes. A kernel for
	// real hardware has 400 MB of modules.
	maxExtracted = 2 << 30
)

// ExtractDeb unpacks the regular files of a package whose names (clean, without
// a leading slash) pass the filter, into dst. Everything else in the archive,
// links and device nodes included, is passed over; a name that would leave dst
// is an error.
func ExtractDeb(debPath string, filter func(name string) bool, dst string) error {
	f, err := os.Open(debPath)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := debData(f)
	if err != nil {
		return badPackage(fmt.Sprintf("no Debian package: %v", err))
	}
	plain, done, err := decompressed(data)
	if err != nil {
		return err
	}
	defer done()
	return extractTar(plain, filter, dst)
}

// extractTar is ExtractDeb for a bare tar stream. It bounds what is read as well
// as what is written: a bomb may hide in a member that nobody wants.
func extractTar(r io.Reader, filter func(name string) bool, dst string) error {
	archive := tar.NewReader(r)
	var total int64
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if !filepath.IsLocal(name) {
			return badPackage(fmt.Sprintf("it has a file %q outside its root", h.Name))
		}
		if total += h.Size; total > maxExtracted {
			return badPackage(fmt.Sprintf("it unpacks to more than %d bytes at %q", int64(maxExtracted), name))
		}
		if h.Typeflag != tar.TypeReg || !filter(name) {
			continue
		}
		if err := extractFile(archive, h.Size, filepath.Join(dst, name)); err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
}

func badPackage(why string) error {
	return &matrix.Failure{Side: matrix.SideKernel, Reason: why, Hint: "name another package or version in the matrix"}
}

// debData is the member of a package that has its files: data.tar, bare or packed
// with gzip, xz or zstd (deb(5)). The package's control file is not read: what it
// says nobody needs here, and nothing bounds it.
func debData(f *os.File) (io.Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const magic, headerSize = "!<arch>\n", 60
	head := make([]byte, len(magic))
	if _, err := f.ReadAt(head, 0); err != nil || string(head) != magic {
		return nil, errors.New("it is no ar archive")
	}
	var data *io.SectionReader
	header := make([]byte, headerSize)
	for at := int64(len(magic)); at+1 < info.Size(); {
		if _, err := f.ReadAt(header, at); err != nil {
			return nil, errors.New("it is cut off")
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || size > info.Size()-at-headerSize {
			return nil, fmt.Errorf("the member at byte %d has a wrong size", at)
		}
		switch name := strings.TrimRight(string(header[:16]), " /"); {
		case !strings.HasPrefix(name, "data.tar"):
		case !slices.Contains([]string{"", ".gz", ".xz", ".zst"}, strings.TrimPrefix(name, "data.tar")):
			return nil, fmt.Errorf("%s is packed with something else than gzip, xz or zstd", name)
		case data == nil:
			data = io.NewSectionReader(f, at+headerSize, size)
		}
		at += headerSize + size + size%2
	}
	if data == nil {
		return nil, errors.New("it has no data.tar")
	}
	return data, nil
}

func extractFile(r io.Reader, size int64, dst string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, r, size)
	return errors.Join(err, out.Close())
}
