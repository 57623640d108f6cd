// Command stressed is kqual's guest with something taken away, or somebody
// looking on, while it measures; mode, set by the linker, says what.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner/guest"
)

var mode string

func main() {
	if os.Args[0] == onlooker {
		onlook(mode == "kill")
	}
	switch mode {
	case "queue0":
		sysctl("fs/inotify/max_queued_events", "0")
	case "queue1":
		sysctl("fs/inotify/max_queued_events", "1")
	case "instances0", "instances3":
		// The limit is per user: all but a few of its instances are taken. The
		// order witness and the pool share the rest. A lower limit would not do: the
		// guest raises it.
		const limit = 4096
		left := int(mode[len(mode)-1] - '0')
		sysctl("fs/inotify/max_user_instances", fmt.Sprint(limit))
		files := unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &files))
		for range limit - left {
			_, err := unix.InotifyInit1(unix.IN_CLOEXEC)
			must(err)
		}
	case "full":
		full := false
		guest.OnStage = func(s guest.Stage, _ *matrix.Cell) {
			full = full || s == guest.Trying && fill("/mnt/tmpfs")
		}
	case "onlook", "kill":
		// Not in this process: looking makes garbage, and a collection would wait for
		// the reader in its poll(2). Only the first process starts one.
		if os.Getpid() == 1 {
			_, err := os.StartProcess(os.Args[0], []string{onlooker}, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Env: []string{}})
			must(err)
		}
	}
	guest.Main()
}

// sysctl writes a sysctl; the guest mounts its own /proc over this one.
func sysctl(name, value string) {
	must(os.MkdirAll("/proc", 0o755))
	must(unix.Mount("proc", "/proc", "proc", 0, ""))
	must(os.WriteFile("/proc/sys/"+name, []byte(value), 0))
}

// fill makes the tmpfs in dir one page large and takes that page, between two
// trials, and says whether it could: where the witness or a trial has more, the
// kernel refuses.
func fill(dir string) bool {
	return unix.Mount("", dir, "", unix.MS_REMOUNT, "size=4k") == nil &&
		os.WriteFile(dir+"/all", make([]byte, 4096), 0o600) == nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
