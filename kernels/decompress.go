package kernels

import (
	"bufio"
	"compress/gzip"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxWindow bounds what a packed stream may have an unpacker keep in memory, in
// bytes: that of zstd --ultra -22, which kernels are packed with. xi2/xz has a
// bound of 64 MiB.
const maxWindow = 128 << 20

// decompressed is r unpacked, as told by its first bytes: gzip, xz, zstd or
// neither. done frees what the reader holds.
func decompressed(r io.Reader) (plain io.Reader, done func(), err error) {
	b := bufio.NewReader(r)
	done = func() {}
	start, _ := b.Peek(6)
	switch magic := string(start); {
	case strings.HasPrefix(magic, "\x1f\x8b"):
		plain, err = gzip.NewReader(b)
	case strings.HasPrefix(magic, "\xfd7zXZ\x00"):
		plain, err = xz.NewReader(b, 0)
	case strings.HasPrefix(magic, "\x28\xb5\x2f\xfd"):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			plain, done = z, z.Close
		}
	default:
		plain = b
	}
	if err != nil {
		return nil, nil, badPackage(err.Error())
	}
	return plain, done, nil
}
