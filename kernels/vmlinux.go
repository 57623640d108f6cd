package kernels

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/kjk/lzma"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/xi2/xz"
)

// Offsets in the x86 boot header (Documentation/x86/boot.rst).
const (
	setupSectsAt     = 0x1f1
	headerMagicAt    = 0x202 // "HdrS"
	bootProtocolAt   = 0x206
	kernelVersionAt  = 0x20e // of the version string, minus 0x200
	payloadOffsetAt  = 0x248 // from the start of the protected-mode code
	payloadLengthAt  = 0x24c
	minBootProtocol  = 0x0208    // the first with a payload offset
	sectorSize       = 512       // bytes
	maxVmlinux       = 256 << 20 // bytes, unpacked; Debian's have about 50 MB
	maxVersionString = 256
)

// parseBzImage reads the boot header of a bzImage. It has no payload where the
// boot protocol is too old.
func parseBzImage(image []byte) (imageHeader, error) {
	h := imageHeader{write: writeVmlinux}
	if len(image) < payloadLengthAt+4 || string(image[headerMagicAt:headerMagicAt+4]) != "HdrS" {
		return h, errors.New("not an x86 kernel image (no boot header)")
	}
	if at := int(binary.LittleEndian.Uint16(image[kernelVersionAt:])); at != 0 && at+0x200 < len(image) {
		s := image[at+0x200:]
		s = s[:min(len(s), maxVersionString)]
		if end := bytes.IndexAny(s, " \x00"); end > 0 {
			h.release = string(s[:end])
		}
	}
	if binary.LittleEndian.Uint16(image[bootProtocolAt:]) < minBootProtocol {
		return h, nil
	}
	sects := int(image[setupSectsAt])
	if sects == 0 {
		sects = 4
	}
	start := (sects+1)*sectorSize + int(binary.LittleEndian.Uint32(image[payloadOffsetAt:]))
	end := start + int(binary.LittleEndian.Uint32(image[payloadLengthAt:]))
	if start < 0 || end < start || end > len(image) {
		return h, errors.New("truncated kernel image: the payload reaches past its end")
	}
	h.payload = image[start:end]
	return h, nil
}

// payloadFormats are the compressions a kernel is built with, by magic number
// (scripts/extract-vmlinux lists the same; lzo is left out, nobody uses it). Kernel xz streams use the x86 BCJ
// filter, which this xz package knows.
var payloadFormats = []struct {
	magic string
	open  func(io.Reader) (io.Reader, error)
}{
	{"\x1f\x8b\x08", func(r io.Reader) (io.Reader, error) {
		z, err := gzip.NewReader(r)
		if err == nil {
			z.Multistream(false)
		}
		return z, err
	}},
	{"\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) {
		z, err := xz.NewReader(r, 0)
		if err == nil {
			z.Multistream(false)
		}
		return z, err
	}},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}},
	{"BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"\x5d\x00\x00", openLZMA},
	{"\x02\x21\x4c\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }},
}

// openLZMA reads the size of the dictionary first: the reader makes whatever it
// says.
func openLZMA(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(5) // properties, and the size of the dictionary (u32)
	if err != nil {
		return nil, err
	}
	if size := binary.LittleEndian.Uint32(head[1:]); size > maxWindow {
		return nil, fmt.Errorf("a dictionary of %d bytes, more than %d", size, maxWindow)
	}
	return lzma.NewReader(b), nil
}

// gzipPayload is gzip's place in payloadFormats.
const gzipPayload = 0

// errNoPVH says that an image has no vmlinux that QEMU could enter directly.
var errNoPVH = errors.New("no vmlinux with a PVH entry")

// writeVmlinux unpacks the ELF kernel of a bzImage. It returns errNoPVH where
// there is none that boots by itself; the bzImage then has to do.
func writeVmlinux(payload []byte, dst string) error {
	err := writeUnpacked(payload, dst, func(r io.ReaderAt, size int64) error {
		if !hasPVHEntry(r, size) {
			return errNoPVH
		}
		return nil
	})
	var host *fs.PathError
	if err == nil || errors.As(err, &host) {
		return err
	}
	return fmt.Errorf("%w: %w", errNoPVH, err)
}

// writeUnpacked unpacks a payload to a file as it comes: a kernel has 40 to 80
// MB. What check refuses is not left behind.
func writeUnpacked(payload []byte, dst string, check func(r io.ReaderAt, size int64) error) (err error) {
	f, err := os.Create(dst)
	if err != nil {
		return fmt.Errorf("write vmlinux: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(dst)
			err = fmt.Errorf("write vmlinux: %w", err)
		}
	}()
	size, err := unpackPayload(payload, f)
	if err != nil {
		return err
	}
	return check(f, size)
}

// unpackPayload decompresses the payload of an image to w and returns the size.
// Its last four bytes are the unpacked size: gzip ends so by itself, to the
// others the kernel's build appends it (scripts/Makefile.lib, size_append).
func unpackPayload(payload []byte, w io.Writer) (int64, error) {
	if len(payload) < 4 {
		return 0, errors.New("no payload")
	}
	packed := payload[:len(payload)-4]
	size := int64(binary.LittleEndian.Uint32(payload[len(packed):]))
	if size > maxVmlinux {
		return 0, fmt.Errorf("the payload unpacks to %d bytes, more than %d", size, maxVmlinux)
	}
	for i, f := range payloadFormats {
		if !bytes.HasPrefix(payload, []byte(f.magic)) {
			continue
		}
		if i == gzipPayload {
			packed = payload
		}
		r, err := f.open(bytes.NewReader(packed))
		if err != nil {
			return 0, fmt.Errorf("unpack the payload: %w", err)
		}
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		n, err := io.Copy(w, io.LimitReader(r, size+1))
		if err != nil {
			return 0, fmt.Errorf("unpack the payload: %w", err)
		}
		if n != size {
			return 0, fmt.Errorf("the payload does not unpack to the %d bytes it should have", size)
		}
		return n, nil
	}
	return 0, errors.New("unknown compression")
}

// pvhNote is XEN_ELFNOTE_PHYS32_ENTRY (include/xen/interface/elfnote.h): the
// 32-bit entry that QEMU jumps to.
const pvhNote = 18

// hasPVHEntry says whether r has a whole ELF kernel with a PVH entry; end is its
// size in bytes.
func hasPVHEntry(r io.ReaderAt, end int64) bool {
	f, err := elf.NewFile(r)
	if err != nil {
		return false
	}
	defer f.Close()
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return false
	}
	size := uint64(end)
	found := false
	for _, p := range f.Progs {
		if p.Off > size || p.Filesz > size-p.Off {
			return false // cut off
		}
		if p.Type == elf.PT_NOTE {
			notes, err := io.ReadAll(io.LimitReader(p.Open(), 1<<20))
			found = found || err == nil && hasNote(notes, f.ByteOrder, "Xen", pvhNote)
		}
	}
	return found
}

// hasNote looks through ELF notes: namesz, descsz and type, each u32, then the
// name and the descriptor, both padded to 4 bytes.
func hasNote(notes []byte, order binary.ByteOrder, name string, kind uint32) bool {
	pad := func(n uint32) int { return (int(n) + 3) &^ 3 }
	for len(notes) >= 12 {
		nameSize, descSize, k := order.Uint32(notes), order.Uint32(notes[4:]), order.Uint32(notes[8:])
		size := 12 + pad(nameSize) + pad(descSize)
		if size < 12 || size > len(notes) {
			return false
		}
		if k == kind && string(bytes.TrimRight(notes[12:12+nameSize], "\x00")) == name {
			return true
		}
		notes = notes[size:]
	}
	return false
}
