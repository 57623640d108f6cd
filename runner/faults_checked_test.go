package runner

import (
	"os"
	"testing"
	"time"
)

// checkedKernel is an affected 6.12 that checks itself as one of
// testdata/configs says, with what makes trouble in it.
func checkedKernel(config string) func(testing.TB) string {
	return func(t testing.TB) string {
		t.Helper()
		return "build: {source: {debian: {suite: trixie, package: linux-source-6.12}}, config: [tiny, " + testdata(t, "configs/"+config) +
			"], patches: [affected-6.12, " + testdata(t, "patches/trouble.patch") + "]}"
	}
}

// Faults that only a kernel notices which checks itself.
var checkedFaults = func() []fault {
	checked, racing := checkedKernel("checked.config"), checkedKernel("kcsan.config")
	return []fault{
		{
			name: "freed", means: "memory is read that was freed", kernel: checked, at: []string{atTrials, atSetup},
			marks: "KASAN",
		},
		{
			name: "beyond", means: "a byte behind the end of memory is read", kernel: checked, at: []string{atSetup, atTrials},
			marks: "KASAN",
		},
		{
			name: "freed-panic", means: "memory is read that was freed, panic_on_warn=1", kernel: checked, at: everyPhase,
			fails: `^KASAN: BUG: KASAN: slab-use-after-free in trouble_`,
		},
		{
			name: "order", means: "locks are taken in two orders", kernel: checked, at: []string{atTrials, atSetup},
			marks: "lockdep",
		},
		{
			name: "hard-lockup", means: "the CPU spins with interrupts off, watchdog_thresh=1", kernel: checked, at: everyPhase[:6], // the end is too short for it
			fails: `^lockup: watchdog: (CPU\d: )?Watchdog detected hard LOCKUP on cpu \d`,
		},
		{
			name: "hard-lockup-panic", means: "the CPU spins with interrupts off, hardlockup_panic=1", kernel: checked, at: everyPhase[:6],
			fails: `^lockup: watchdog: (CPU\d: )?Watchdog detected hard LOCKUP on cpu \d`,
		},
		{
			name: "data-race", means: "two tasks write the same without a lock", kernel: racing, at: []string{atTrials, atSetup},
			marks: "KCSAN",
		},
	}
}()

// The two kernels take long to build and to boot: make full.
func TestVMFaultsOfChecks(t *testing.T) {
	needVM(t)
	if os.Getenv("KQUAL_FULL") != "1" {
		t.Skip("two kernels that check themselves: make full FULL=FaultsOfChecks")
	}
	injectAll(t, injections(checkedFaults), waits{records: 3 * time.Second, boot: 10 * time.Second})
}
