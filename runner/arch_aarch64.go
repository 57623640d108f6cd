package runner

import "github.com/hugelgupf/vmtest/qemu"

func init() {
	registerArch(arch{
		name: "arm64", program: "qemu-system-aarch64", pkg: "qemu-system-arm", vmtest: qemu.ArchArm64,
		machine: []string{"-M", "virt,gic-version=max"},
		// An in-order core: kernels have no speculation to guard against. Trials are as
		// fast as on a cortex-a72, and 1.5 to 2 times as fast as on max (Debian 6.1).
		tcgCPU: "cortex-a53",
		// At a random address a kernel isolates its page tables (kaslr_requires_kpti in
		// arch/arm64/kernel/cpufeature.c), which TCG pays for at every system call.
		kernelArgs: []string{"console=ttyAMA0", "nokaslr"},
		// The board has one serial port. A second one on the PCI bus needs no module
		// on Debian's kernels.
		records: []string{"-device", "pci-serial,chardev=records"}, channel: "/dev/ttyS0",
	})
}
