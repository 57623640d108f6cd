package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The default matrix with a warm cache: the whole time against its boots and
// cells, and what kqual itself takes beside QEMU.
func BenchmarkVMDefaultMatrix(b *testing.B) {
	needVM(b)
	var wall, ratio, memory float64
	for b.Loop() {
		dir := b.TempDir()
		cmd := kqual("run", "--out", dir)
		peak, err := runWatched(cmd)
		if err != nil {
			b.Fatal(err)
		}
		t := load(b, dir).Timing
		wall += t.Wall.Seconds()
		ratio += t.Ratio
		memory = max(memory, float64(peak)/1e6)
	}
	b.ReportMetric(wall/float64(b.N), "s/matrix")
	b.ReportMetric(ratio/float64(b.N), "×(boot+cells)")
	b.ReportMetric(memory, "MB-of-kqual")
}

// runWatched runs cmd and returns the most memory that it had resident by
// itself, in bytes: VmHWM of proc(5). The kernel's account of a process that
// has ended (getrusage(2)) counts its children, and so QEMU.
func runWatched(cmd *exec.Cmd) (peak int64, err error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return peak, err
		case <-time.After(100 * time.Millisecond):
			peak = max(peak, residentPeak(cmd.Process.Pid))
		}
	}
}

func residentPeak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib int64
	_, _ = fmt.Sscanf(string(rest), "%d kB", &kib)
	return kib << 10
}
