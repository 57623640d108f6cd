// Kqual tells on which kernels a process can still open a file after it was
// told that the file was deleted. See the command's help.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"kqual/internal/cli"
	"kqual/runner/guest"
)

// memoryLimit is where the garbage collector begins to work harder, in bytes.
// What unpacking a kernel needs at a time is below it. Fetching four Debian
// kernels makes kqual 161 MB large with it, 201 MB without.
const memoryLimit = 128 << 20

func main() {
	// In a virtual machine this program is /init; in a container it may be
	// process 1 under its own name.
	if os.Getpid() == 1 && os.Args[0] == "/init" {
		guest.Main()
	}
	// The programs that make filesystems are in directories that the PATH of a
	// plain Debian user does not have.
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
