package runner

import (
	"testing"
	"time"
)

// Faults of the kernel, made with sysrq and with testdata/patches/trouble.patch.
var kernelFaults = []fault{
	{
		name: "panic", means: "sysrq c", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^panic: Kernel panic - not syncing: sysrq triggered crash`,
	},
	{
		name: "oops", means: "a null pointer", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown, atEnd},
		fails: `^oops: BUG: kernel NULL pointer dereference`,
	},
	{
		name: "bug", means: "BUG()", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown, atEnd},
		fails: `^BUG: kernel BUG at .*fs/proc/trouble.c`,
	},
	{
		name: "wild", means: "a pointer that is no address", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^oops: general protection fault`,
	},
	{
		name: "stack", means: "the stack pointer is nowhere: a double fault", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown},
		fails: `^oops: .*double fault`,
	},
	{
		name: "lock", means: "a spin lock is taken twice", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "warning", means: "WARN()", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		marks: "WARNING",
	},
	{
		name: "warning-panic", means: "WARN(), panic_on_warn=1", at: []string{atStart, atBoot, atSetup, atTrials, atBetween, atTeardown, atEnd},
		fails: `^WARNING: WARNING: CPU: \d+ PID: \d+ at .*fs/proc/trouble.c`,
	},
	{
		name: "cli", means: "the CPU spins with interrupts off", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "reset", means: "sysrq b with reboot=t: a triple fault", at: []string{atTeardown, atBoot, atStart, atSetup, atTrials, atBetween, atEnd},
		fails: `^lost channel: the machine was reset without a word`, again: true,
	},
	{
		name: "memory", means: "init takes all memory", machine: "memory: 128MiB", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		fails: `^panic: Kernel panic - not syncing: System is deadlocked on memory`,
	},
	{
		name: "oom-kill", means: "a process beside init takes all memory", machine: "memory: 128MiB", at: []string{atTrials, atSetup},
		marks: "OOM",
	},
}

// Faults that the kernel notices by itself, seconds later.
var stallFaults = []fault{
	{
		name: "soft-lockup", means: "the CPU spins in the kernel, watchdog_thresh=1", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown},
		fails: `^lockup: watchdog: BUG: soft lockup - CPU#\d stuck`,
	},
	{
		name: "soft-lockup-panic", means: "the CPU spins in the kernel, softlockup_panic=1", at: []string{atSetup, atTrials},
		fails: `^lockup: watchdog: BUG: soft lockup - CPU#\d stuck`,
	},
	{
		name: "busy", means: "the CPU spins in the kernel for five seconds, watchdog_thresh=1", at: []string{atTrials, atSetup},
		marks: "lockup",
	},
	{
		name: "rcu-stall", means: "the CPU spins in the kernel, rcu_cpu_stall_timeout=3", at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown},
		fails: `^RCU stall: rcu: INFO: rcu_sched (self-)?detected stall`,
	},
	{
		name: "hung-task", means: "a task that nobody wakes, hung_task_timeout_secs=1", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown},
		fails: `^hung task: INFO: task .* blocked for more than \d+ seconds`,
	},
	{
		name: "hung-task-panic", means: "a task that nobody wakes, hung_task_panic=1", at: []string{atTrials, atSetup},
		fails: `^hung task: INFO: task .* blocked for more than \d+ seconds`,
	},
	{
		name: "hung-beside", means: "a thread beside the guest sleeps in the kernel", at: []string{atTrials, atSetup},
		marks: "hung task",
	},
}

func TestVMFaultsOfStalls(t *testing.T) {
	needVM(t)
	injectAll(t, injections(stallFaults), waits{2 * time.Second, usual.boot})
}

func TestVMFaultsOfTheKernel(t *testing.T) {
	needVM(t)
	injectAll(t, injections(kernelFaults), usual)
}
