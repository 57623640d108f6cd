// Command flooder floods the console with long lines and then does the real
// guest's work: neither the log nor the host may suffer from it.
package main

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"

	"kqual/runner/guest"
)

func main() {
	_ = unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, "")
	if console, err := os.OpenFile("/dev/ttyS0", os.O_WRONLY, 0); err == nil {
		line := append(bytes.Repeat([]byte("x"), 100_000), '\n') // longer than any buffer of a line
		for range 10 {
			_, _ = console.Write(line)
		}
		console.Close()
	}
	guest.Main()
}
