// Command babbler is a PID 1 that writes anything but records to the host.
package main

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	_ = unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, "")
	if ch, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0); err == nil {
		_, _ = ch.WriteString("\x1b[2Jkqual1 0 deadbeef {\"done\":{}}\n")
	}
	time.Sleep(time.Hour)
}
