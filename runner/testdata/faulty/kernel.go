package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Faults of the kernel: sysrq (Documentation/admin-guide/sysrq.rst) and what
// testdata/patches/trouble.patch puts into it.

func sysrq(key string)    { write("/proc/sysrq-trigger", key) }
func provoke(what string) { write("/proc/trouble", what) }

// aside runs f on a thread of its own, so that the guest can go on.
func aside(f func()) {
	go func() {
		runtime.LockOSThread()
		f()
	}()
}

func init() {
	faults["panic"] = func() { sysrq("c") }
	faults["oops"] = func() { provoke("null") }
	faults["wild"] = func() { provoke("wild") }
	faults["lock"] = func() { provoke("lock") }
	faults["bug"] = func() { provoke("bug") }
	faults["stack"] = func() { provoke("stack") }
	faults["warning"] = func() { provoke("warn") }
	faults["warning-panic"] = func() {
		write("/proc/sys/kernel/panic_on_warn", "1")
		provoke("warn")
	}
	faults["cli"] = func() { provoke("cli") }
	faults["reset"] = func() { sysrq("b") }
	// A breakpoint that the kernel has removed, as QEMU's emulation can run into.
	faults["int3"] = func() {
		write("/dev/kmsg", "<1>Oops: int3: 0000 [#1] SMP NOPTI")
		sysrq("c")
	}

	faults["soft-lockup"] = func() {
		watchdog()
		provoke("spin")
	}
	faults["soft-lockup-panic"] = func() {
		watchdog()
		write("/proc/sys/kernel/softlockup_panic", "1")
		provoke("spin")
	}
	// A CPU that is kept for five seconds, and then goes on.
	faults["busy"] = func() {
		watchdog()
		provoke("busy")
	}
	faults["rcu-stall"] = func() {
		write("/proc/sys/kernel/soft_watchdog", "0")
		write("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "3") // seconds, the least
		// Somebody must wait for RCU, or the CPU stalls nothing (membarrier(2)).
		aside(func() {
			for {
				_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, 1<<0, 0, 0) // MEMBARRIER_CMD_GLOBAL
			}
		})
		time.Sleep(10 * time.Millisecond)
		provoke("spin")
	}
	faults["hung-task"] = func() {
		hungTasks()
		provoke("sleep")
	}
	faults["hung-task-panic"] = func() {
		hungTasks()
		write("/proc/sys/kernel/hung_task_panic", "1")
		provoke("sleep")
	}
	// The guest goes on when the kernel has complained.
	faults["hung-beside"] = func() {
		hungTasks()
		aside(func() { provoke("sleep") })
		time.Sleep(3 * time.Second)
	}
}

func init() {
	for _, what := range []string{"freed", "beyond", "order"} {
		faults[what] = func() { provoke(what) }
	}
	faults["freed-panic"] = func() {
		write("/proc/sys/kernel/panic_on_warn", "1")
		provoke("freed")
	}
	faults["hard-lockup"] = func() {
		watchdog()
		provoke("cli")
	}
	faults["hard-lockup-panic"] = func() {
		write("/proc/sys/kernel/hardlockup_panic", "1")
		watchdog()
		provoke("cli")
	}
	faults["data-race"] = func() { provoke("race") }
}

// watchdog makes a CPU that is kept for two seconds a soft lockup, and one that
// takes no interrupt for about as long a hard one.
func watchdog() { write("/proc/sys/kernel/watchdog_thresh", "1") }

// hungTasks makes a task that is blocked for a second a hung one.
func hungTasks() { write("/proc/sys/kernel/hung_task_timeout_secs", "1") }

func init() {
	reboot := func(cmd int) func() {
		return func() { _ = unix.Reboot(cmd) }
	}
	faults["restart"] = reboot(unix.LINUX_REBOOT_CMD_RESTART)
	faults["power-off"] = reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	faults["halt"] = reboot(unix.LINUX_REBOOT_CMD_HALT)
}
