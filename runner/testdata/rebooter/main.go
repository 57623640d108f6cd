// Command rebooter is a PID 1 that starts the machine again.
package main

import "golang.org/x/sys/unix"

func main() { _ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) }
