// Bareinit is the least that can be called a guest: it says hello on the second
// serial port and is done. Benchmarks compare the real guest with it.
package main

import (
	"os"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

func main() {
	_ = unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, "")
	var u unix.Utsname
	_ = unix.Uname(&u)
	if ch, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0); err == nil {
		w := wire.NewWriter(ch)
		_ = w.Write(wire.Record{Hello: &wire.Hello{Release: unix.ByteSliceToString(u.Release[:])}})
		_ = w.Write(wire.Record{Done: &wire.Done{}})
		_ = unix.IoctlSetInt(int(ch.Fd()), unix.TCSBRK, 1) // tcdrain(3)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
