package runner

import "github.com/hugelgupf/vmtest/qemu"

func init() {
	registerArch(arch{
		name: "amd64", program: "qemu-system-x86_64", pkg: "qemu-system-x86", vmtest: qemu.ArchAMD64,
		machine: []string{"-bios", "qboot.rom"},
		// The first 64-bit Atom, an in-order core: kernels have no speculation to guard
		// against (cpu_vuln_whitelist in arch/x86/kernel/cpu/common.c) and do not
		// isolate their page tables, which under TCG more than doubles the time of a
		// trial (measured on Debian 5.10 to 7.3 against Nehalem). Its TSC is constant,
		// which saves the second CPU a calibration: a boot takes 0.8 to 0.95 of one on
		// an Opteron_G1. It goes without cmpxchg16b, which QEMU 7.2 gets wrong (see
		// impossibleFlags).
		tcgCPU:     "qemu64,vendor=GenuineIntel,family=6,model=28,stepping=10,-cx16",
		kernelArgs: []string{"console=ttyS0", "tsc=reliable", "no_timer_check"},
		// The second serial port needs no module on any kernel.
		records: []string{"-serial", "chardev:records"}, channel: "/dev/ttyS1",
	})
}
