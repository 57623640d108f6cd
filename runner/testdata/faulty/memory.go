package main

import (
	"os"
	"os/exec"
	"runtime/debug"
)

// Faults of memory: the guest takes all of it, or a process beside it does.

// eater is the argument with which this program is that process.
const eater = "eat"

func init() {
	faults["memory"] = eat
	faults["oom-kill"] = func() {
		// Where nothing else can be killed, the kernel takes the child.
		_ = exec.Command("/proc/self/exe", eater).Run()
	}
}

func eat() {
	if os.Getpid() != 1 {
		write("/proc/self/oom_score_adj", "1000")
	}
	debug.SetGCPercent(-1)
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}
