package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kqual/kernels"
	"kqual/matrix"
)

// inQEMUsPlace puts a program before QEMU in PATH.
func inQEMUsPlace(t *testing.T, data []byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kqual-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // it may run as nobody
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, archOf(matrix.Machine{}).program), data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// What a fault costs, at every phase, whatever the machine: the tables of real
// faults say the same of real machines.
func TestAFaultCostsWhatItsPhaseAllows(t *testing.T) {
	inQEMUsPlace(t, readWhole(t, program(t, "scripted")))
	faults := []fault{
		{name: "panic", at: everyPhase, fails: `^panic: Kernel panic - not syncing: sysrq`},
		{name: "sleep", at: []string{atBoot, atTrials}, fails: `^deadline: no record (within|for) `, again: true},
		{name: "reset", at: everyPhase, fails: `^lost channel: the machine was reset without a word`, again: true},
		{name: "sigkill", at: []string{atStart, atTrials, atEnd}, fails: `^QEMU was ended by SIGKILL`, side: matrix.SideHost, again: true},
		{name: "garbage", at: []string{atBoot, atSetup, atTeardown}, fails: `^garbage on the channel: `, again: true},
		{name: "int3", at: []string{atBoot, atSetup, atBetween}, fails: `^oops: Oops: int3: .*QEMU's emulation`, emulator: true, boots: maxEmulator},
	}
	t.Setenv("KQUAL_FULL", "1")
	shorten(t, waits{400 * time.Millisecond, 750 * time.Millisecond}) // busy hosts run this, too
	for _, i := range injections(faults) {
		t.Run(i.id(), func(t *testing.T) {
			kr, verdicts := playScript(t, i.id())
			i.check(t, kr, verdicts)
			if t.Failed() {
				explainRun(t, kr, verdicts)
			}
		})
	}
}

// playScript measures the three cells of faultMatrix on a scripted machine.
func playScript(t *testing.T, kernel string) (matrix.KernelRun, []matrix.Verdict) {
	t.Helper()
	cfg, cat := testRun(t, faultMatrix("  - name: "+kernel+"\n    file: {vmlinuz: /nowhere}\n"))
	cfg.Accel = AccelTCG
	r := &run{cfg: cfg, tmp: t.TempDir(), turns: newTurns(cfg.Budget.Resolve(), ""), runs: []matrix.KernelRun{newKernelRun(cfg.Plan.Kernels[0])}}
	vmlinux := filepath.Join(t.TempDir(), "vmlinux")
	if err := os.WriteFile(vmlinux, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	kr := &r.runs[0]
	if err := r.measure(context.Background(), fetched{image: &kernels.Image{Vmlinux: vmlinux}}, 0, kr); err != nil {
		if !errors.As(err, &kr.Error) {
			t.Fatal(err)
		}
		unanswered(kr, kr.Error)
	}
	return *kr, matrix.Judge(*kr, cfg.Sampling, cat)
}
