package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// onlooker is the name of a process that looks on.
const onlooker = "onlooker"

// onlook looks through /proc for whoever has a deleted victim open for writing,
// and says on the console which process that is and whose child; once each. It
// also says where children of process 1 pile up: more than one at a time, or a
// zombie that nobody waits for; itself not counted. kill ends the first other
// process that it finds.
func onlook(kill bool) {
	told := map[string]bool{}
	say := func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); !told[line] {
			told[line] = true
			fmt.Println("onlooker: " + line)
		}
	}
	zombies := map[int]time.Time{} // first seen
	for {
		children := 0
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			state, parent := status(dir)
			switch {
			case pid != 1 && parent != 1 || pid == os.Getpid(): // a thread of the kernel, or this
				continue
			case state == "Z":
				if since, ok := zombies[pid]; !ok {
					zombies[pid] = time.Now()
				} else if time.Since(since) > time.Second {
					say("%d is a zombie", pid)
				}
				continue
			case pid != 1:
				children++
			}
			if holdsVictim(dir) {
				say("%d, child of %d, holds a deleted victim", pid, parent)
				if kill && pid != 1 {
					kill = false
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		if children > 1 {
			say("%d children at a time", children)
		}
		time.Sleep(time.Millisecond)
	}
}

// status returns a process's state and its parent (proc_pid_stat(5)).
func status(dir string) (state string, parent int) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// holdsVictim says whether a process has a deleted file below /mnt open for
// writing.
func holdsVictim(dir string) bool {
	fds, _ := filepath.Glob(dir + "/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, "/mnt/") || !strings.HasSuffix(target, " (deleted)") {
			continue
		}
		info, _ := os.ReadFile(dir + "/fdinfo/" + filepath.Base(fd))
		for _, line := range strings.Split(string(info), "\n") {
			octal, ok := strings.CutPrefix(line, "flags:")
			if !ok {
				continue
			}
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			if err == nil && flags&syscall.O_ACCMODE == syscall.O_WRONLY {
				return true
			}
		}
	}
	return false
}
