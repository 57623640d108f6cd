package runner

import (
	"testing"

	"kqual/matrix"
)

// Faults of the guest's own process, and of its clock and console.
var guestFaults = []fault{
	{
		name: "exit", means: "init exits with 3", at: []string{atStart, atBoot, atSetup, atTrials, atBetween, atTeardown, atEnd},
		fails: `^panic: Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300`,
	},
	{
		name: "crash", means: "init dereferences nil", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^panic: Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000200`,
	},
	{
		name: "give-up", means: "the guest panics in Go, says so and powers off", at: []string{atSetup, atStart, atTrials, atBetween, atTeardown, atEnd},
		fails: `^lost channel: the machine powered off before the guest was done: the guest gives up`, again: true,
	},
	{
		name: "sleep", means: "init sleeps", at: []string{atBoot, atStart, atSetup, atTrials, atBetween, atTeardown, atEnd},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "spin", means: "init spins", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "restart", means: "reboot(RB_AUTOBOOT)", at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown, atEnd},
		fails: `^lost channel: the machine restarted before the guest was done`, again: true,
	},
	{
		name: "power-off", means: "reboot(RB_POWER_OFF)", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^lost channel: the machine powered off before the guest was done`, again: true,
	},
	{
		name: "halt", means: "reboot(RB_HALT_SYSTEM)", at: []string{atEnd, atBoot, atStart, atSetup, atTrials, atBetween, atTeardown},
		fails: `^deadline: no record (within|for) `, again: true,
	},
	{
		name: "other-release", means: "personality(UNAME26): uname -r says 2.6", at: []string{atBoot},
		fails: `^the wrong kernel booted: uname -r says "2\.6`, side: matrix.SideBoot,
	},

	{name: "clock-forward", means: "clock_settime: ten years ahead", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown}, harmless: true},
	{name: "clock-back", means: "clock_settime: 1980", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown}, harmless: true},
	{name: "clock-source", means: "another clock source", at: []string{atTrials, atSetup}, harmless: true},
	{name: "console-flood", means: "10 lines of 100 kB on the console", at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown}, harmless: true},
	{name: "console-bytes", means: "terminal escapes, NUL and markup on the console", at: []string{atSetup, atBoot, atTrials}, harmless: true},
	{name: "log-flood", means: "3,000 lines in the kernel's log", at: []string{atTrials, atSetup}, harmless: true},
}

func TestVMFaultsOfTheGuest(t *testing.T) {
	needVM(t)
	injectAll(t, injections(guestFaults), usual)
}
