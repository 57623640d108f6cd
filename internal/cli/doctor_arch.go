package cli

import (
	"context"
	"slices"
	"strings"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
)

// hasArch says whether a kernel of the matrix is for an architecture; without a
// valid matrix the default one is asked for.
func (d *doctor) hasArch(arch string) bool {
	if d.spec == nil {
		return arch == matrix.DefaultArch
	}
	return slices.ContainsFunc(d.spec.Kernels, func(k matrix.Kernel) bool { return k.Machine.Architecture() == arch })
}

// qemu checks the emulator of each architecture, and, where kqual is not its own
// guest there, that there is a program for it.
func (d *doctor) qemu(ctx context.Context) []finding {
	var checks []finding
	for _, arch := range runner.Architectures() {
		tool, needed := runner.QEMU(matrix.Machine{Arch: arch}), d.hasArch(arch)
		f := d.program(tool.Program, tool.Package, needed, "no kernel for "+arch+" can be booted")
		f.Name = "QEMU for " + arch
		if v := firstLineOf(ctx, tool.Program, "--version"); f.OK && v != "" {
			f.Detail = strings.TrimPrefix(v, "QEMU emulator ")
		} else if f.OK {
			f.OK, f.Detail, f.Hint = false, f.Detail+" does not start", "apt-get install --reinstall "+tool.Package
		}
		checks = append(checks, f)
		if err := runner.CheckGuest(arch); err != nil {
			checks = append(checks, finding{Name: "guest for " + arch, Needed: needed, Detail: describe(err)})
		}
	}
	return checks
}

// crossCompilers checks what builds for another architecture need, if the matrix
// has some.
func (d *doctor) crossCompilers() []finding {
	var checks []finding
	for _, arch := range kernels.Architectures() {
		program, pkg := kernels.CrossCompiler(arch)
		wants := d.spec != nil && slices.ContainsFunc(d.spec.Kernels, func(k matrix.Kernel) bool {
			return k.Source == "build" && k.Machine.Architecture() == arch
		})
		if wants && program != "" {
			checks = append(checks, d.program(program, pkg, true, "no kernel for "+arch+" can be built"))
		}
	}
	return checks
}
