package runner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/hugelgupf/vmtest/qemu"

	"kqual/matrix"
)

// arch is an architecture that guests can have. Each has a file of its own,
// which registers it.
type arch struct {
	name string // as the matrix, Debian and Go call it
	// program is QEMU for it, pkg the Debian package that has it.
	program, pkg string
	vmtest       qemu.Arch
	machine      []string // arguments: the board and what it boots with
	tcgCPU       string   // the CPU model under TCG; under KVM it is the host's
	kernelArgs   []string // beside those of every kernel
	// records are the arguments of the device that carries the chardev named
	// records, channel is what that device is called in the guest.
	records []string
	channel string
}

var arches = map[string]*arch{}

func registerArch(a arch) { arches[a.name] = &a }

// Architectures lists what machines can be, for the matrix.
func Architectures() []string { return slices.Sorted(maps.Keys(arches)) }

// archOf is the architecture of a machine; the matrix has checked that there is
// one.
func archOf(m matrix.Machine) *arch { return arches[m.Architecture()] }

// native says whether the host is of this architecture: only then is there KVM,
// and kqual is its own guest.
func (a *arch) native() bool { return a.name == runtime.GOARCH }

// cpuModel is QEMU's model for a machine.
func (a *arch) cpuModel(accel string, m matrix.Machine) string {
	if accel == AccelTCG {
		return cmp.Or(m.CPU, a.tcgCPU)
	}
	return cmp.Or(m.CPU, "host")
}

// Tool is a program that machines need on the host.
type Tool struct{ Program, Package string }

// QEMU is the emulator of a machine.
func QEMU(m matrix.Machine) Tool { return Tool{archOf(m).program, archOf(m).pkg} }

// version asks QEMU for its version: "7.2.22".
func (a *arch) version(ctx context.Context) (string, error) {
	for _, tool := range []Tool{{a.program, a.pkg}, {"setpriv", "util-linux"}, {"setsid", "util-linux"}} {
		if _, err := exec.LookPath(tool.Program); err != nil {
			return "", &matrix.Failure{
				Side: matrix.SideHost, Reason: tool.Program + " is not installed", Hint: "apt-get install " + tool.Package,
			}
		}
	}
	out, err := exec.CommandContext(ctx, a.program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask QEMU for its version: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	fields := strings.Fields(first)
	for i, f := range fields {
		if f == "version" && i+1 < len(fields) {
			return fields[i+1], nil
		}
	}
	return "", fmt.Errorf("ask QEMU for its version: got %q", first)
}

// checkArches says whether everything is there to run the plan's machines.
func (cfg Config) checkArches(ctx context.Context) error {
	if err := cfg.checkAccel(); err != nil {
		return err
	}
	checked := map[*arch]bool{}
	for _, k := range cfg.Plan.Kernels {
		a := archOf(k.Kernel.Machine)
		if checked[a] {
			continue
		}
		checked[a] = true
		if _, err := a.version(ctx); err != nil {
			return err
		}
		if err := a.checkInit(cfg.Guest); err != nil {
			return err
		}
	}
	return nil
}

// checkAccel says whether KVM is asked for where there is none.
func (cfg Config) checkAccel() error {
	for _, k := range cfg.Plan.Kernels {
		a := archOf(k.Kernel.Machine)
		if want := cmp.Or(cfg.Accel, k.Kernel.Machine.Accel); want == AccelKVM && !a.native() {
			return &matrix.Failure{
				Side:   matrix.SideHost,
				Reason: fmt.Sprintf("kernel %s: a host of %s has no KVM for %s", k.Kernel.Name, runtime.GOARCH, a.name),
				Hint:   "write accel: auto or tcg for it, or leave --accel kvm away",
			}
		}
	}
	return nil
}
