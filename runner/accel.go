package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"kqual/internal/atomicfile"
	"kqual/kernels"
	"kqual/matrix"
)

// probeDeadline is how long a probe guest may take to say hello. KVM boots one
// in well under a second where it works; where it does not, it hangs forever.
const probeDeadline = 8 * time.Second

// AccelAnswer says whether an accelerator boots a guest on this machine.
type AccelAnswer struct {
	Accel      string        `json:"accel"`
	Works      bool          `json:"works"`
	Detail     string        `json:"detail"` // why not, or the release that booted
	Took       time.Duration `json:"took"`   // QEMU start to hello
	Remembered bool          `json:"-"`      // from an earlier probe in this host boot
}

// accelMemory is the file that remembers answers. They are good for one boot
// of the host and one version of QEMU.
type accelMemory struct {
	BootID  string                 `json:"boot_id"`
	QEMU    string                 `json:"qemu"`
	Answers map[string]AccelAnswer `json:"answers"`
}

// Prober finds out which accelerators really boot a guest here. A device node
// is no proof: /dev/kvm can exist, create machines and still hang each guest.
type Prober struct {
	Image  *kernels.Image // any kernel that is known to boot
	Arch   string         // of the kernel; empty for the host's
	Guest  string         // the program to run as PID 1; empty for this one
	Memory string         // file that remembers answers; empty to forget them
	Dir    string         // for temporary files
}

// Probe says whether accel boots a guest. The answer is remembered.
func (p Prober) Probe(ctx context.Context, accel string) (AccelAnswer, error) {
	of := archOf(p.machine())
	if of == nil {
		return AccelAnswer{}, fmt.Errorf("no guest can be of this host's architecture, %s", runtime.GOARCH)
	}
	version, err := of.version(ctx)
	if err != nil {
		return AccelAnswer{}, err
	}
	mem, key := p.recall(version), accel
	if p.Arch != "" {
		key += " " + p.Arch
	}
	if a, ok := mem.Answers[key]; ok {
		a.Remembered = true
		return a, nil
	}
	a, err := p.boot(ctx, accel)
	if err != nil {
		return a, err
	}
	mem.Answers[key] = a
	p.remember(mem)
	return a, nil
}

// Choose resolves an accelerator of the matrix: kvm and tcg stand for
// themselves, auto is KVM where a guest booted with it and TCG otherwise.
func (p Prober) Choose(ctx context.Context, want string) (string, error) {
	if want != "auto" {
		return want, nil
	}
	a, err := p.Probe(ctx, AccelKVM)
	if err != nil {
		return "", err
	}
	if a.Works {
		return AccelKVM, nil
	}
	return AccelTCG, nil
}

func (p Prober) boot(ctx context.Context, accel string) (AccelAnswer, error) {
	a := AccelAnswer{Accel: accel}
	if accel == AccelKVM && p.Arch != "" && p.Arch != runtime.GOARCH {
		a.Detail = "a host of " + runtime.GOARCH + " has none for " + p.Arch
		return a, nil
	}
	if accel == AccelKVM {
		f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
		if err != nil {
			a.Detail = strings.TrimPrefix(err.Error(), "open ")
			return a, nil
		}
		f.Close()
	}
	dir, err := os.MkdirTemp(p.Dir, "probe-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(dir)
	b := &boot{
		image: p.Image, guest: p.Guest, accel: accel, dir: dir,
		machine: p.machine(),
		probe:   true, firstRecord: probeDeadline,
	}
	res := b.run(ctx)
	if err := ctx.Err(); err != nil {
		return a, err
	}
	if res.failure != nil {
		a.Detail = res.failure.Reason
		return a, nil
	}
	a.Works, a.Took, a.Detail = true, res.boot.FirstRecord, "booted "+res.boot.Release
	return a, nil
}

// machine is a small one.
func (p Prober) machine() matrix.Machine {
	return matrix.Machine{VCPUs: 1, Memory: 256 << 20, Arch: cmp.Or(p.Arch, runtime.GOARCH)}
}

// recall returns the remembered answers that still hold.
func (p Prober) recall(version string) accelMemory {
	fresh := accelMemory{BootID: bootID(), QEMU: version, Answers: map[string]AccelAnswer{}}
	if p.Memory == "" || fresh.BootID == "" {
		return fresh
	}
	data, err := os.ReadFile(p.Memory)
	if err != nil {
		return fresh
	}
	var mem accelMemory
	if json.Unmarshal(data, &mem) != nil || mem.BootID != fresh.BootID || mem.QEMU != fresh.QEMU || mem.Answers == nil {
		return fresh
	}
	return mem
}

// remember is best effort: a probe can be made again.
func (p Prober) remember(mem accelMemory) {
	if p.Memory == "" || mem.BootID == "" {
		return
	}
	data, err := json.MarshalIndent(mem, "", "  ")
	if err == nil {
		_ = os.MkdirAll(filepath.Dir(p.Memory), 0o755)
		_ = atomicfile.Write(p.Memory, append(data, '\n'))
	}
}

// bootID names this boot of the host (proc(5)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// AccelMemory is where a cache directory remembers accelerators.
func AccelMemory(cacheDir string) string { return filepath.Join(cacheDir, "accel.json") }
