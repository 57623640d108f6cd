package runner

import "github.com/hugelgupf/vmtest/qemu"

func init() {
	registerArch(arch{
		name: "amd64", program: "qemu-system-x86_64", pkg: "qemu-system-x86", vmtest: qemu.ArchAMD64,
		machine: []string{"-bios", "qboot.rom"},
		// An AMD model: it has no Meltdown, so no kernel isolates its page tables,
		// which under TCG more than doubles the time of a trial (measured on Debian
		// 5.10 to 7.3 against Nehalem). It boots as fast as any, and TCG knows all its
		// features. The first generation has no cmpxchg16b, which QEMU 7.2 gets wrong
		// (see impossibleFlags), and is as fast as the second.
		tcgCPU:     "Opteron_G1",
		kernelArgs: []string{"console=ttyS0", "tsc=reliable", "no_timer_check"},
		// The second serial port needs no module on any kernel.
		records: []string{"-serial", "chardev:records"}, channel: "/dev/ttyS1",
	})
}
