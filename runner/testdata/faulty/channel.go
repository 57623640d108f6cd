package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// Faults of the result channel and the console.

func init() {
	faults["garbage"] = func() { say("\x1b[2J\x00\xff not a record\n") }
	faults["half-record"] = func() {
		say(line(fmt.Sprintf("kqual%d", wire.Version), 1)[:20])
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	faults["half-and-hang"] = func() {
		say(line(fmt.Sprintf("kqual%d", wire.Version), 1)[:20])
		time.Sleep(time.Hour)
	}
	faults["other-version"] = func() { say(line(fmt.Sprintf("kqual%d", wire.Version+1), 1)) }
	faults["out-of-order"] = func() { say(line(fmt.Sprintf("kqual%d", wire.Version), 100_000)) }
	faults["endless-record"] = func() { say(string(bytes.Repeat([]byte("x"), wire.MaxLine+1))) }
	faults["closed"] = func() {
		fds, _ := filepath.Glob("/proc/self/fd/*")
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); to == "/dev/ttyS1" {
				var n int
				_, _ = fmt.Sscan(filepath.Base(fd), &n)
				_ = unix.Close(n)
			}
		}
	}
	// The second record, where only hello was said: done.
	faults["early-done"] = func() {
		body := `{"done":{"elapsed":1}}`
		say(fmt.Sprintf("kqual%d 1 %08x %s\n", wire.Version, crc32.ChecksumIEEE([]byte(body)), body))
		time.Sleep(time.Hour)
	}

	faults["console-flood"] = func() {
		console("/dev/ttyS0", append(bytes.Repeat([]byte("x"), 100_000), '\n'), 10)
	}
	faults["console-bytes"] = func() {
		console("/dev/ttyS0", []byte("\x1b[2J\x1b]0;title\x07\x00\xff\xfe\r\r\n<script>\n"), 20)
	}
	faults["log-flood"] = func() { console("/dev/kmsg", []byte("<4>one of many lines"), 3000) }
}

// line is a record without content.
func line(magic string, seq int) string {
	body := `{"note":"x"}`
	return fmt.Sprintf("%s %d %08x %s\n", magic, seq, crc32.ChecksumIEEE([]byte(body)), body)
}

// say writes to the result channel.
func say(text string) { console("/dev/ttyS1", []byte(text), 1) }

// console writes the same several times.
func console(path string, text []byte, times int) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		fail("%v", err)
	}
	defer f.Close()
	for range times {
		if _, err := f.Write(text); err != nil {
			fail("%v", err)
		}
	}
	_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // tcdrain(3)
}
