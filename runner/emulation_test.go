package runner

import (
	"os"
	"path/filepath"
	"testing"

	"kqual/matrix"
)

// Ends of real boots under QEMU 7.2: of Debian's 7.3, and of its 6.12.95.
const (
	breakpointEnd = "[    1.444828] Oops: int3: 0000 [#1] SMP NOPTI\n[    1.461194] Kernel panic - not syncing: Fatal exception in interrupt\n"
	flagsEnd      = "[    1.039512] traps: PANIC: double fault, error_code: 0x0\n" +
		"[    1.039512] Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI\n" +
		"[    1.039512] RIP: 0010:kmem_cache_alloc_noprof+0xc3/0x2f0\n" +
		"[    1.039512] RSP: 0018:ffffc90000013a50 EFLAGS: 0433f3f2\n" +
		"[    1.039512] RAX: ffff88800433f3f0 RBX: ffff88800433f4e0 RCX: 00000000000dc000\n"
	// An end that a kernel's own fault makes: its flags are sound.
	soundEnd = "[    2.104512] BUG: kernel NULL pointer dereference, address: 0000000000000010\n" +
		"[    2.104512] RSP: 0018:ffffc90000013a50 EFLAGS: 00010246\n" +
		"[    2.104512] RSP: 002b:00007ffd3c9e7a48 EFLAGS: 00000202 ORIG_RAX: 000000000000003b\n" +
		"[    2.104512] Kernel panic - not syncing: Fatal exception\n"
)

// What QEMU does to a kernel is told from the kernel's own ends: only under TCG,
// and a breakpoint only with several CPUs.
func TestEmulatorsFaultsAreNotTheKernels(t *testing.T) {
	for _, tt := range []struct {
		name, log, accel string
		vcpus            int
		want             string
	}{
		{"breakpoint", breakpointEnd, AccelTCG, 2, staleBreakpoint},
		{"breakpoint, one CPU", breakpointEnd, AccelTCG, 1, ""},
		{"breakpoint, KVM", breakpointEnd, AccelKVM, 2, ""},
		{"flags", flagsEnd, AccelTCG, 2, impossibleFlags},
		{"flags, one CPU", flagsEnd, AccelTCG, 1, impossibleFlags},
		{"flags, KVM", flagsEnd, AccelKVM, 2, ""},
		{"sound flags", soundEnd, AccelTCG, 2, ""},
		{"flags of a kernel that lives", "[    1.0] RSP: 0018:ffffc90000013a50 EFLAGS: 0433f3f2\n", AccelTCG, 2, ""},
	} {
		log := filepath.Join(t.TempDir(), "console.log")
		if err := os.WriteFile(log, []byte(tt.log), 0o644); err != nil {
			t.Fatal(err)
		}
		b := &boot{accel: tt.accel, machine: matrix.Machine{VCPUs: tt.vcpus}, log: log}
		if got := b.emulatorFault(b.splats()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
