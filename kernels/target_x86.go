package kernels

// x86-64: a bzImage, with the ELF kernel packed in it (vmlinux.go).
func init() {
	registerTarget(target{
		arch: "amd64", format: "a bzImage", parse: parseBzImage,
		makeArch: "x86_64", goal: "bzImage", built: "arch/x86/boot/bzImage",
		cross: "x86_64-linux-gnu-", crossPackage: "gcc-x86-64-linux-gnu",
	})
}
