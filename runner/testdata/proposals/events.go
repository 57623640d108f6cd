package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// inotifyEvent is one event of inotify(7).
type inotifyEvent struct {
	wd           int32
	mask, cookie uint32
	name         string
}

// inotifyOpen makes a group that does not block.
func inotifyOpen() (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("inotify_init1: %w", err)
	}
	return fd, nil
}

// inotifyRead reads all that is queued.
func inotifyRead(fd int) ([]inotifyEvent, error) {
	var out []inotifyEvent
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("read events: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			out = append(out, inotifyEvent{
				wd:   int32(binary.NativeEndian.Uint32(b)),
				mask: binary.NativeEndian.Uint32(b[4:]), cookie: binary.NativeEndian.Uint32(b[8:]),
				name: unix.ByteSliceToString(append(b[unix.SizeofInotifyEvent:size:size], 0)),
			})
			b = b[size:]
		}
	}
}

// fanotifyOpen makes a group that does not block and loses nothing.
func fanotifyOpen(flags uint) (int, error) {
	fd, err := unix.FanotifyInit(flags|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|unix.FAN_UNLIMITED_QUEUE|unix.FAN_UNLIMITED_MARKS, unix.O_RDONLY)
	if err != nil {
		return -1, fmt.Errorf("fanotify_init %#x: %w", flags, err)
	}
	return fd, nil
}

// fanotifyRead reads all that is queued: per event its mask and what its
// records say, handles by the number that number gives them.
func fanotifyRead(fd int, number func(handle string) int) ([]string, error) {
	const metadata = 24 // struct fanotify_event_metadata, fanotify(7)
	var out []string
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("read events: %w", err)
		}
		for b := buf[:n]; len(b) >= metadata; {
			size := int(binary.NativeEndian.Uint32(b))
			var s strings.Builder
			fmt.Fprintf(&s, "mask %#x pid %d", binary.NativeEndian.Uint64(b[8:]), int32(binary.NativeEndian.Uint32(b[20:])))
			for info := b[metadata:size]; len(info) >= 20; {
				// struct fanotify_event_info_fid: type, pad, length, fsid, and a struct
				// file_handle of size, type and handle; then the name.
				kind, length := info[0], int(binary.NativeEndian.Uint16(info[2:]))
				end := 20 + int(binary.NativeEndian.Uint32(info[12:]))
				fmt.Fprintf(&s, " %d:h%d:%s", kind, number(string(info[12:end])), unix.ByteSliceToString(append(info[end:length:length], 0)))
				info = info[length:]
			}
			out = append(out, s.String())
			b = b[size:]
		}
	}
}
