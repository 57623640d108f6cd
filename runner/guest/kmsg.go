package guest

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// kernelLog reads what the kernel says while cells run: one record per read(2),
// "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n" and lines of its context behind it
// (Documentation/ABI/testing/dev-kmsg).
type kernelLog struct {
	fd  int // -1 where there is none
	buf []byte
}

const (
	// warningLevel is KERN_WARNING; lower is worse.
	warningLevel = 4
	// maxKernelLines and maxKernelLine bound what a cell reports, in lines and
	// bytes: the first lines of a splat say what it is.
	maxKernelLines = 24
	maxKernelLine  = 240
)

// openKernelLog begins after what has been said so far.
func openKernelLog() *kernelLog {
	l := &kernelLog{buf: make([]byte, 8192)}
	var err error
	if l.fd, err = unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		l.fd = -1
		return l
	}
	_, _ = unix.Seek(l.fd, 0, unix.SEEK_END)
	return l
}

// take returns what the kernel said since the last call, warnings and worse.
func (l *kernelLog) take() []string {
	var lines []string
	for l.fd >= 0 {
		n, err := unix.Read(l.fd, l.buf)
		if err == unix.EPIPE { // records were overwritten before they were read
			continue
		}
		if err != nil || n == 0 {
			break
		}
		if text, ok := kernelWarning(l.buf[:n]); ok && len(lines) < maxKernelLines {
			lines = append(lines, text)
		}
	}
	return lines
}

// kernelWarning returns the text of a record of the kernel's own (facility 0)
// that is a warning or worse.
func kernelWarning(record []byte) (text string, ok bool) {
	head, rest, found := bytes.Cut(record, []byte(";"))
	priority, _, _ := bytes.Cut(head, []byte(","))
	n, err := strconv.Atoi(string(priority))
	if !found || err != nil || n < 0 || n > warningLevel {
		return "", false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return string(line[:min(len(line), maxKernelLine)]), true
}
