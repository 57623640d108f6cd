package runner

import "github.com/hugelgupf/vmtest/qemu"

func init() {
	registerArch(arch{
		name: "arm64", program: "qemu-system-aarch64", pkg: "qemu-system-arm", vmtest: qemu.ArchArm64,
		machine:    []string{"-M", "virt,gic-version=max"},
		tcgCPU:     "cortex-a53",
		kernelArgs: []string{"console=ttyAMA0", "nokaslr"},
		// The board has one serial port. A second one on the PCI bus needs no module
		// on Debian's kernels.
		records: []string{"-device", "pci-serial,chardev=records"}, channel: "/dev/ttyS0",
	})
}
