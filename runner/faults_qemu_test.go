package runner

import (
	"syscall"
	"testing"

	"kqual/matrix"
)

// Faults of QEMU: signals while its guest waits for them.
var qemuFaults = []fault{
	{
		name: "sigkill", means: "SIGKILL to QEMU", signal: syscall.SIGKILL, at: everyPhase,
		fails: `^QEMU was ended by SIGKILL`, side: matrix.SideHost, again: true,
	},
	{
		name: "sigsegv", means: "SIGSEGV to QEMU", signal: syscall.SIGSEGV, at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^QEMU was ended by SIGSEGV`, side: matrix.SideHost, again: true,
	},
	{
		name: "sigabrt", means: "SIGABRT to QEMU", signal: syscall.SIGABRT, at: []string{atSetup, atBoot, atStart, atTrials, atBetween, atTeardown, atEnd},
		fails: `^QEMU was ended by SIGABRT`, side: matrix.SideHost, again: true,
	},
	{
		name: "sigterm", means: "SIGTERM to QEMU", signal: syscall.SIGTERM, at: []string{atBetween, atBoot, atStart, atSetup, atTrials, atTeardown, atEnd},
		fails: `^QEMU: terminating on signal 15`, side: matrix.SideHost, again: true,
	},
	{
		name: "sigstop", means: "SIGSTOP to QEMU", signal: syscall.SIGSTOP, at: []string{atTrials, atBoot, atStart, atSetup, atBetween, atTeardown, atEnd},
		fails: `^deadline: no record (within|for) .*; QEMU is stopped \(SIGSTOP\)`, side: matrix.SideHost, again: true,
	},
}

func TestVMFaultsOfQEMU(t *testing.T) {
	needVM(t)
	injectAll(t, injections(qemuFaults), usual)
}

// staleBreakpointFault is what QEMU's emulation does to a kernel that patches
// itself: it is tried again, four times in all, before it counts as a strike or
// ends the kernel.
var staleBreakpointFault = fault{
	name: "int3", means: "the kernel's log tells of a stale breakpoint, then sysrq c", emulator: true,
	fails: `^panic: .* \(Oops: int3: QEMU's emulation ran a breakpoint`, boots: maxEmulator,
}

func TestVMFaultsOfTheEmulation(t *testing.T) {
	needVM(t)
	int3 := &staleBreakpointFault
	injectAll(t, []injection{
		{fault: int3, phase: atBoot},
		{fault: int3, phase: atTrials, once: true},
		{fault: int3, phase: atSetup},
		{fault: int3, phase: atBetween},
		{fault: int3, phase: atTeardown},
	}, usual)
}
