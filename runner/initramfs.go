package runner

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/cavaliergopher/cpio"
)

// archive writes an initramfs: a newc cpio archive, uncompressed, which boots
// faster than a compressed one.
type archive struct {
	f   *os.File
	buf *bufio.Writer
	w   *cpio.Writer
	err error
}

// createArchive starts an initramfs at path.
func createArchive(path string) (*archive, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	a := &archive{f: f, buf: bufio.NewWriterSize(f, 1<<20)}
	a.w = cpio.NewWriter(a.buf)
	return a, nil
}

func (a *archive) dir(name string) {
	a.header(&cpio.Header{Name: name, Mode: cpio.TypeDir | 0o755})
}

func (a *archive) file(name string, mode cpio.FileMode, data []byte) {
	a.header(&cpio.Header{Name: name, Mode: cpio.TypeReg | mode, Size: int64(len(data))})
	if a.err == nil {
		_, a.err = a.w.Write(data)
	}
}

// copyFile adds the file at path on the host.
func (a *archive) copyFile(name string, mode cpio.FileMode, path string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		a.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	a.header(&cpio.Header{Name: name, Mode: cpio.TypeReg | mode, Size: info.Size()})
	if a.err == nil {
		_, a.err = io.Copy(a.w, f)
	}
}

func (a *archive) header(h *cpio.Header) {
	if a.err == nil {
		a.err = a.w.WriteHeader(h)
	}
}

// close finishes the archive and returns the first error of all.
func (a *archive) close() error {
	for _, step := range []func() error{a.w.Close, a.buf.Flush} {
		if err := step(); a.err == nil {
			a.err = err
		}
	}
	if err := a.f.Close(); a.err == nil {
		a.err = err
	}
	if a.err != nil {
		return fmt.Errorf("write initramfs: %w", a.err)
	}
	return nil
}
