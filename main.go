// Kqual tells on which kernels a process can still open a file after it was
// told that the file was deleted. See the command's help.
package main

import (
	"context"
	"os"

	"kqual/internal/cli"
	"kqual/runner/guest"
)

func main() {
	// In a virtual machine this program is /init; in a container it may be
	// process 1 under its own name.
	if os.Getpid() == 1 && os.Args[0] == "/init" {
		guest.Main()
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
