package guest

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
)

// heldCell measures a cell of open-writer for some seconds at most, on this host's kernel
// and with few groups. between is called between trials.
func heldCell(t *testing.T, between func(m *machine, c matrix.Counts)) (*machine, matrix.Outcome) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	oneCPU = true // wait in a way that leaves the host to others
	t.Cleanup(func() { oneCPU = false })
	// As in a guest: a collection would wait for the reader in its poll(2).
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	w := inotify{}.catalog().Plain()
	dir := t.TempDir()
	p, err := openPool(inotify{}, scenarios["open-writer"], w, dir, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	p.current = 3
	m := &machine{
		cpus: 1, rng: rand.New(rand.NewPCG(1, 1)), pools: map[string]*pool{inotify{}.poolKey(w): p},
		sampling: matrix.Sampling{Pressure: 3, DetectionLimit: 0.001, Confidence: 0.95, MaxTime: 4 * time.Second},
	}
	m.beat = func(c matrix.Counts) { between(m, c) }
	return m, m.cell(matrix.Cell{Filesystem: "tmpfs", Scenario: "open-writer", Watch: w}, dir)
}

func TestACellOfOpenWriterHoldsEveryVictim(t *testing.T) {
	unheld := 0
	m, out := heldCell(t, func(m *machine, _ matrix.Counts) {
		if !strings.Contains(strings.Join(openFiles(t, m.partner.process.Pid), "\n"), " (deleted)") {
			unheld++
		}
	})
	if out.Status != matrix.Measured || out.Counts.Trials <= 2*heldSize || out.Counts.Foreign+out.Counts.Lost > 0 {
		t.Errorf("%s %s: %+v", out.Status, out.Failure, out.Counts)
	}
	if unheld > 0 {
		t.Errorf("%d of %d victims were in nobody's hands when their trial was through", unheld, out.Counts.Trials)
	}
	if m.partner != nil {
		t.Error("the partner outlives its cell")
	}
}

func TestACellWhosePartnerDiesHasNoVerdict(t *testing.T) {
	m, out := heldCell(t, func(m *machine, c matrix.Counts) {
		if c.Trials == heldSize+2 {
			_ = m.partner.process.Kill()
		}
	})
	if out.Status != matrix.Failed || !strings.Contains(out.Failure, "the partner process, ") || !strings.Contains(out.Failure, "ended: signal: killed") {
		t.Errorf("%s %q after %d trials", out.Status, out.Failure, out.Counts.Trials)
	}
	if m.partner != nil {
		t.Error("the partner outlives its cell")
	}
}
