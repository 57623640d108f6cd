package runner

import (
	"testing"
	"time"
)

// Faults of the kernel, made with sysrq and its dump test module (lkdtm).
var kernelFaults = []fault{
	{name: "panic", means: "sysrq c", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^panic: Kernel panic - not syncing: sysrq triggered crash`},
	{name: "oops", means: "lkdtm EXCEPTION", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown, atEnd},
		fails: `^oops: BUG: kernel NULL pointer dereference`},
	{name: "bug", means: "lkdtm BUG", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown, atEnd},
		fails: `^BUG: kernel BUG at .*drivers/misc/lkdtm`},
	{name: "stack", means: "lkdtm EXHAUST_STACK", at: []string{atTrials, atBoot, atSetup},
		fails: `^oops: .*(stack guard page was hit|double fault)`},
	{name: "warning", means: "lkdtm WARNING", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		marks: "WARNING"},
	{name: "warning-panic", means: "lkdtm WARNING, panic_on_warn=1", at: []string{atStart, atBoot, atSetup, atTrials, atBetween, atTeardown, atEnd},
		fails: `^WARNING: WARNING: CPU: \d+ PID: \d+ at .*drivers/misc/lkdtm`},
	{name: "cli", means: "lkdtm HARDLOCKUP: spins with interrupts off", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^deadline: no record (within|for) `, again: true},
	{name: "reset", means: "sysrq b with reboot=t: a triple fault", at: []string{atTeardown, atBoot, atStart, atSetup, atTrials, atBetween, atEnd},
		fails: `^lost channel: the machine was reset without a word`, again: true},
	{name: "memory", means: "init takes all memory", machine: "memory: 128MiB", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		fails: `^panic: Kernel panic - not syncing: System is deadlocked on memory`},
	{name: "oom-kill", means: "a process beside init takes all memory", machine: "memory: 128MiB", at: []string{atTrials, atSetup},
		marks: "OOM"},
}

// Faults that the kernel notices by itself, seconds later.
var stallFaults = []fault{
	{name: "soft-lockup", means: "lkdtm SOFTLOCKUP, watchdog_thresh=1", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		fails: `^lockup: watchdog: BUG: soft lockup - CPU#\d stuck`},
	{name: "soft-lockup-panic", means: "lkdtm SOFTLOCKUP, softlockup_panic=1", at: []string{atSetup, atTrials},
		fails: `^lockup: watchdog: BUG: soft lockup - CPU#\d stuck`},
	{name: "rcu-stall", means: "lkdtm SOFTLOCKUP, rcu_cpu_stall_timeout=3", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown},
		fails: `^RCU stall: rcu: INFO: rcu_sched (self-)?detected stall`},
	{name: "hung-task", means: "lkdtm HUNG_TASK, hung_task_timeout_secs=1", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown},
		fails: `^hung task: INFO: task .* blocked for more than 1 seconds`},
	{name: "hung-task-panic", means: "lkdtm HUNG_TASK, hung_task_panic=1", at: []string{atTrials, atSetup},
		fails: `^hung task: INFO: task .* blocked for more than 1 seconds`},
	{name: "hung-beside", means: "lkdtm HUNG_TASK in a thread beside the guest", at: []string{atTrials, atSetup},
		marks: "hung task"},
}

func TestVMFaultsOfStalls(t *testing.T) {
	needVM(t)
	injectAll(t, injections(stallFaults), 1250*time.Millisecond)
}

func TestVMFaultsOfTheKernel(t *testing.T) {
	needVM(t)
	injectAll(t, injections(kernelFaults), usualSlack)
}
