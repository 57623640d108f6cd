package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// arm64: an Image, as it is (Debian's vmlinuz), packed with gzip, or packed
// into a program for EFI firmware (EFI_ZBOOT, from 6.1 on).
func init() {
	registerTarget(target{
		arch: "arm64", format: "an Image of arm64, as it is, packed with gzip, or as vmlinuz.efi", parse: parseArm64,
		makeArch: "arm64", goal: "Image", built: "arch/arm64/boot/Image",
		cross: "aarch64-linux-gnu-", crossPackage: "gcc-aarch64-linux-gnu",
	})
}

// Offsets in the head of an Image (Documentation/arch/arm64/booting.rst) and of
// a vmlinuz.efi (drivers/firmware/efi/libstub/zboot-header.S).
const (
	arm64MagicAt   = 0x38
	arm64Magic     = "ARM\x64"
	zbootMagicAt   = 4
	zbootMagic     = "zimg"
	zbootPayloadAt = 8
	zbootSizeAt    = 12
	zbootMachineAt = 0x3c // of the offset of the PE header
	peMachineARM64 = 0xaa64
)

// parseArm64 reads the head of an Image, in any of its packings.
func parseArm64(image []byte) (imageHeader, error) {
	switch {
	case hasMagic(image, arm64MagicAt, arm64Magic):
		return imageHeader{release: releaseInside(image)}, nil
	case isPackedImage(image):
		return imageHeader{payload: image, write: writeImage}, nil
	case hasMagic(image, 0, "MZ") && hasMagic(image, zbootMagicAt, zbootMagic):
		payload, err := zbootPayload(image)
		return imageHeader{payload: payload, write: writeImage}, err
	}
	return imageHeader{}, errors.New("not an arm64 kernel image")
}

// isPackedImage says whether an Image is what gzip packed. Its head is enough.
func isPackedImage(image []byte) bool {
	if !hasMagic(image, 0, payloadFormats[gzipPayload].magic) {
		return false
	}
	r, err := payloadFormats[gzipPayload].open(bytes.NewReader(image))
	if err != nil {
		return false
	}
	head := make([]byte, arm64MagicAt+len(arm64Magic))
	_, err = io.ReadFull(r, head)
	return err == nil && hasMagic(head, arm64MagicAt, arm64Magic)
}

func hasMagic(image []byte, at int, magic string) bool {
	return len(image) >= at+len(magic) && string(image[at:at+len(magic)]) == magic
}

// zbootPayload is what a vmlinuz.efi unpacks when it is started. The head's size
// leaves out the unpacked size that follows, except for gzip, which ends by it.
func zbootPayload(image []byte) ([]byte, error) {
	if len(image) < zbootMachineAt+4 {
		return nil, errors.New("truncated vmlinuz.efi")
	}
	pe := uint64(binary.LittleEndian.Uint32(image[zbootMachineAt:]))
	if pe+6 > uint64(len(image)) || string(image[pe:pe+4]) != "PE\x00\x00" {
		return nil, errors.New("truncated vmlinuz.efi: no PE header")
	}
	if machine := binary.LittleEndian.Uint16(image[pe+4:]); machine != peMachineARM64 {
		return nil, errors.New("not an arm64 kernel image: a vmlinuz.efi of another architecture")
	}
	start := uint64(binary.LittleEndian.Uint32(image[zbootPayloadAt:]))
	end := start + uint64(binary.LittleEndian.Uint32(image[zbootSizeAt:]))
	if end <= uint64(len(image)) && !hasMagic(image[start:], 0, payloadFormats[gzipPayload].magic) {
		end += 4
	}
	if end > uint64(len(image)) {
		return nil, errors.New("truncated vmlinuz.efi: the payload reaches past its end")
	}
	return image[start:end], nil
}

// writeImage unpacks an Image.
func writeImage(payload []byte, dst string) error {
	return writeUnpacked(payload, dst, func(r io.ReaderAt, _ int64) error {
		magic := make([]byte, len(arm64Magic))
		if _, err := r.ReadAt(magic, arm64MagicAt); err != nil || string(magic) != arm64Magic {
			return errors.New("what is packed in it is no Image of arm64")
		}
		return nil
	})
}
