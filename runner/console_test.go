package runner

import (
	"strings"
	"testing"

	"kqual/matrix"
)

// The lines are as kernels printed them (5.10 and 6.1, ttyS0).
func TestTroubleInAConsoleLogIsFound(t *testing.T) {
	tests := map[string]struct{ line, kind string }{
		"init exits":          {"[    1.212310] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000", "panic"},
		"no root":             {"[    0.702178] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)", "panic"},
		"null pointer":        {"[    2.345678] BUG: kernel NULL pointer dereference, address: 0000000000000028", "oops"},
		"oops number":         {"[    2.345690] Oops: 0000 [#1] SMP NOPTI", "oops"},
		"breakpoint":          {"[    1.444828] Oops: int3: 0000 [#1] SMP NOPTI", "oops"},
		"breakpoint of 5.10":  {"[    1.444828] int3: 0000 [#1] SMP NOPTI", "oops"},
		"null on arm64":       {"[    2.345678] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000028", "oops"},
		"oops on arm64":       {"[    2.345690] Internal error: Oops: 0000000096000004 [#1] SMP", "oops"},
		"BUG on arm64":        {"[    2.345690] Internal error: Oops - BUG: 00000000f2000800 [#1] SMP", "oops"},
		"protection fault":    {"[   12.000001] general protection fault, probably for non-canonical address 0xdead000000000110: 0000 [#1] SMP PTI", "oops"},
		"soft lockup":         {"[   48.123456] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kqual:1]", "lockup"},
		"rcu stall":           {"[   21.004325] rcu: INFO: rcu_sched self-detected stall on CPU", "RCU stall"},
		"hung task":           {"[  242.668123] INFO: task init:1 blocked for more than 120 seconds.", "hung task"},
		"oom":                 {"[    3.141592] Out of memory: Killed process 1 (init) total-vm:1256940kB, anon-rss:0kB", "OOM"},
		"kernel BUG":          {"[    1.000000] kernel BUG at fs/inode.c:421!", "BUG"},
		"kasan":               {"[    1.000000] BUG: KASAN: use-after-free in inotify_handle_inode_event+0x1a/0x2f0", "KASAN"},
		"warning":             {"[    1.500000] WARNING: CPU: 0 PID: 1 at fs/notify/fsnotify.c:254 fsnotify_handle_inode_event+0x11/0x90", "WARNING"},
		"warning of 7.3":      {"[    1.500000] WARNING: fs/notify/fsnotify.c:254 at fsnotify_handle_inode_event+0x11/0x90, CPU#0: kqual/1", "WARNING"},
		"warning, no file":    {"[    1.500000] WARNING: at fsnotify_handle_inode_event+0x11/0x90, CPU#1: init/1", "WARNING"},
		"lock state":          {"[    1.500000] WARNING: inconsistent lock state", "lockdep"},
		"ubsan":               {"[    1.500000] UBSAN: array-index-out-of-bounds in fs/inode.c:12:3", "UBSAN"},
		"clock":               {"[    9.500000] clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:", "clock"},
		"double fault":        {"[    1.500000] traps: PANIC: double fault, error_code: 0x0", "oops"},
		"stack overflow":      {"[    1.500000] BUG: TASK stack guard page was hit at 0000000012345678 (stack is 0..1)", "oops"},
		"tasks stall":         {"[   99.500000] INFO: rcu_tasks detected stalls on tasks:", "RCU stall"},
		"hung in I/O":         {"[  242.668123] INFO: task init:1 blocked in I/O wait for more than 120 seconds.", "hung task"},
		"workqueue lockup":    {"[   61.500000] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!", "BUG"},
		"hard lockup":         {"[   31.500000] watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", "lockup"},
		"kfence":              {"[    1.500000] BUG: KFENCE: use-after-free read in fsnotify+0x1a/0x2f0", "KFENCE"},
		"lockdep":             {"[    1.500000] WARNING: possible circular locking dependency detected", "lockdep"},
		"caller id":           {"[    1.500000][    T1] Kernel panic - not syncing: sysrq triggered crash", "panic"},
		"carriage return":     {"[    1.500000] kernel BUG at mm/slub.c:1!\r", "BUG"},
		"no time stamp":       {"Kernel panic - not syncing: early", "panic"},
		"an ordinary warning": {"[    0.100000] PCI: Fatal: No config space access function found", ""},
		"a word in a message": {"[    0.100000] printk: console [ttyS0] enabled, panic timeout 1", ""},
		"a mitigation":        {"[    0.100000] RETBleed: WARNING: CPU does not support IBPB.", ""},
		"unprivileged eBPF":   {"[    0.100000] WARNING: Unprivileged eBPF is enabled with eIBRS+LFENCE mitigation and SMT, data leaks possible via Spectre v2 BHB attacks!", ""},
		"a guest's own words": {"kqual guest: WARNING signs", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := scanConsole(strings.NewReader("[    0.000000] Linux version 5.10\n" + tt.line + "\n"))
			switch {
			case tt.kind == "" && len(got) > 0:
				t.Errorf("found %v in an innocent line", got)
			case tt.kind != "" && (len(got) != 1 || got[0].Kind != tt.kind):
				t.Errorf("got %v, want %s", got, tt.kind)
			}
		})
	}
}

func TestAPanicOutranksTheOopsBeforeIt(t *testing.T) {
	log := "Oops: 0002 [#1] SMP\nWARNING: CPU: 1 PID: 9 at x.c:1 f+0x0/0x1\nKernel panic - not syncing: Attempted to kill init!\n"
	s, ok := worst(scanConsole(strings.NewReader(log)))
	if !ok || s.Kind != "panic" {
		t.Errorf("got %v, %t", s, ok)
	}
	if s, ok := worst(scanConsole(strings.NewReader("WARNING: possible recursive locking detected\n"))); ok {
		t.Errorf("a warning ended a boot: %v", s)
	}
}

func TestAPanicThatFollowsAnOopsIsToldAsTheOops(t *testing.T) {
	log := "WARNING: CPU: 1 PID: 9 at x.c:1 f+0x0/0x1\nBUG: kernel NULL pointer dereference, address: 8\nOops: 0002 [#1] SMP\nKernel panic - not syncing: Fatal exception\n"
	s, ok := worst(scanConsole(strings.NewReader(log)))
	if !ok || s.Kind != "oops" || s.Line != "BUG: kernel NULL pointer dereference, address: 8" {
		t.Errorf("got %v, %t", s, ok)
	}
}

// A panic that the kernel was asked to make of something is told as that.
func TestAPanicOnRequestIsToldAsWhatItFollowedFrom(t *testing.T) {
	for cause, panic := range map[string]string{
		"WARNING: CPU: 1 PID: 9 at x.c:1 f+0x0/0x1":                           "panic_on_warn set ...",
		"watchdog: BUG: soft lockup - CPU#1 stuck for 3s! [init:1]":           "softlockup: hung tasks",
		"watchdog: Watchdog detected hard LOCKUP on cpu 0":                    "Hard LOCKUP",
		"INFO: task init:1 blocked for more than 1 seconds.":                  "hung_task: blocked tasks",
		"rcu: INFO: rcu_sched self-detected stall on CPU":                     "RCU Stall",
		"BUG: KASAN: use-after-free in inotify_handle_inode_event+0x1a/0x2f0": "panic_on_warn set ...",
	} {
		log := cause + "\nKernel panic - not syncing: " + panic + "\n"
		s, ok := worst(scanConsole(strings.NewReader(log)))
		if !ok || s.Line != cause {
			t.Errorf("%s: got %v, %t", panic, s, ok)
		}
	}
}

// What stalls because a CPU is locked up is told as the lockup.
func TestALockupOutranksTheStallThatItMakes(t *testing.T) {
	log := "watchdog: Watchdog detected hard LOCKUP on cpu 0\nrcu: INFO: rcu_sched detected stalls on CPUs/tasks:\nINFO: task init:1 blocked for more than 1 seconds.\n"
	if s, ok := worst(scanConsole(strings.NewReader(log))); !ok || s.Kind != "lockup" {
		t.Errorf("got %v, %t", s, ok)
	}
}

func TestWhatAFinishedCellToldDoesNotExplainTheEnd(t *testing.T) {
	oom := matrix.Splat{Kind: "OOM", Line: "Out of memory: Killed process 9 (init) total-vm:1kB"}
	again := matrix.Splat{Kind: "OOM", Line: "Out of memory: Killed process 12 (init) total-vm:1kB"}
	left := fresh([]matrix.Splat{oom, again}, []string{"Out of memory: Killed process 9 (init)", "something else"})
	if len(left) != 1 || left[0] != again {
		t.Errorf("left %v", left)
	}
}

func TestAnEndlessConsoleLineIsCutAndTheRestIsRead(t *testing.T) {
	log := strings.Repeat("x", 10*maxConsoleLine) + "\nKernel panic - not syncing: late\n"
	if s, ok := worst(scanConsole(strings.NewReader(log))); !ok || s.Line != "Kernel panic - not syncing: late" {
		t.Errorf("got %v, %t", s, ok)
	}
}

func FuzzScanConsole(f *testing.F) {
	f.Add("[    1.0] Kernel panic - not syncing: x\n")
	f.Add("\x00\x1b[31m\n\r\n")
	f.Fuzz(func(t *testing.T, log string) {
		for _, s := range scanConsole(strings.NewReader(log)) {
			if s.Kind == "" || len(s.Line) > maxConsoleLine || strings.ContainsAny(s.Line, "\n") {
				t.Fatalf("bad splat %+v", s)
			}
		}
	})
}
