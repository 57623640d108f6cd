package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
	"kqual/reports"
)

// Killed at any moment, a run that is resumed comes to the verdicts of one that
// nobody disturbed, and what was finished is not measured again.
func TestVMAKilledRunGoesOn(t *testing.T) {
	needVM(t)
	kills := 5
	if os.Getenv("KQUAL_FULL") == "1" {
		kills = 50
	}
	undisturbed := filepath.Join(t.TempDir(), "out")
	runToTheEnd(t, "run", "--only", oneKernel, "--out", undisturbed) // the kernel is there then
	begin := time.Now()
	runToTheEnd(t, "run", "--only", oneKernel, "--out", undisturbed)
	took := time.Since(begin)
	want := verdictsOf(load(t, undisturbed))
	if len(want) != oneKernelCells {
		t.Fatalf("%d cells, want %d", len(want), oneKernelCells)
	}

	rng := rand.New(rand.NewPCG(1, 2))
	begun, kept, wrong := 0, 0, 0
	for n := range kills {
		dir := filepath.Join(t.TempDir(), "out")
		args := []string{"run", "--only", oneKernel, "--out", dir}
		cmd := kqual(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rng.Int64N(int64(took)))
		time.Sleep(after)
		machines := children(cmd.Process.Pid)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		mustEnd(t, machines)

		finished := map[string]matrix.CellRun{}
		if _, err := os.Stat(filepath.Join(dir, "results.json")); err == nil {
			finished = outcomesOf(load(t, dir)) // whatever is there is whole
			args = append(args, "--resume")
			begun++
		}
		runToTheEnd(t, args...)
		r := load(t, dir)
		if d := cmp.Diff(want, verdictsOf(r)); r.State != reports.StateDone || d != "" {
			wrong++
			t.Errorf("kill %d, after %s: state %s, verdicts differ (-undisturbed +resumed):\n%s", n, after, r.State, d)
		}
		outcomes := outcomesOf(r)
		for id, was := range finished {
			if d := cmp.Diff(was.Outcome, outcomes[id].Outcome); d != "" {
				t.Errorf("kill %d, after %s: %s was finished and was measured again:\n%s", n, after, id, d)
			}
		}
		kept += len(finished)
		mustNameItsBoots(t, r)
		if left, _ := filepath.Glob(filepath.Join(dir, ".*.json*")); len(left) > 0 {
			t.Errorf("kill %d, after %s: left %q", n, after, left)
		}
	}
	t.Logf("%d kills within %s, %d of them with results to resume; %d finished cells kept, %d runs with other verdicts", kills, took.Round(time.Second), begun, kept, wrong)
	if stdout, stderr, code := run(t, "run", "--only", oneKernel, "--out", undisturbed, "--resume"); code != 0 || strings.Contains(stderr, "/unlink") {
		t.Errorf("a finished run is measured again (exit %d):\n%s%s", code, stderr, stdout)
	}
}

// mustNameItsBoots wants every cell to name a boot that is there, and every boot
// to have a log of its own.
func mustNameItsBoots(t *testing.T, r *reports.Report) {
	t.Helper()
	for _, k := range r.Kernels {
		logs := map[string]bool{}
		for _, b := range k.Boots {
			if b.End == matrix.BootRuns || logs[b.ConsoleLog] {
				t.Errorf("%s: boot %+v after the end, of %d", k.Kernel, b, len(k.Boots))
			}
			logs[b.ConsoleLog] = true
		}
		for _, c := range k.Cells {
			if c.Outcome != nil && c.Boot >= len(k.Boots) {
				t.Errorf("%s was measured in boot %d of %d", c.Cell.ID(), c.Boot, len(k.Boots))
			}
		}
	}
}

// runToTheEnd calls kqual and wants success.
func runToTheEnd(t *testing.T, args ...string) {
	t.Helper()
	if stdout, stderr, code := run(t, args...); code != 0 {
		t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
	}
}

// verdictsOf is the kind of verdict of each cell.
func verdictsOf(r *reports.Report) map[string]matrix.VerdictKind {
	out := map[string]matrix.VerdictKind{}
	for _, c := range r.Cells {
		out[c.ID()] = c.Verdict.Kind
	}
	return out
}

// outcomesOf are the cells that have an outcome.
func outcomesOf(r *reports.Report) map[string]matrix.CellRun {
	out := map[string]matrix.CellRun{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil {
				out[c.Cell.ID()] = c
			}
		}
	}
	return out
}
