package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

// mustBeWhole fails unless a run of so many cells is finished and met every
// expectation.
func mustBeWhole(t *testing.T, dir string, cells int) {
	t.Helper()
	r := load(t, dir)
	if r.State != reports.StateDone || len(r.Cells) != cells || r.Gate.Met != cells {
		t.Errorf("%s: state %s, %d cells, %d met their expectation", dir, r.State, len(r.Cells), r.Gate.Met)
	}
	for _, c := range r.Cells {
		if k := c.Verdict.Kind; k != matrix.VerdictClean && k != matrix.VerdictUnsupported {
			t.Errorf("%s: %s", c.ID(), matrix.VerdictText(c.Verdict))
		}
	}
}

// mustLeaveNothing fails if a cache has half-made entries, or if a machine of
// these kqual processes is still there.
func mustLeaveNothing(t *testing.T, cache string, pids ...int) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(cache, "tmp", "*")); len(left) > 0 {
		t.Errorf("left in the cache: %q", left)
	}
	for _, pid := range pids {
		mustEnd(t, children(pid))
	}
}

// Two runs that begin with an empty cache get each package once, and both
// measure right.
func TestVMTwoRunsShareACache(t *testing.T) {
	needVM(t)
	cache := t.TempDir()
	var dirs []string
	var said [2]bytes.Buffer
	var pids []int
	var wait []func() error
	for i := range 2 {
		dir := t.TempDir()
		cmd := kqual("run", "--only", oneKernel, "--out", dir)
		cmd.Env = append(os.Environ(), "KQUAL_CACHE="+cache)
		cmd.Stderr = &said[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		dirs, pids, wait = append(dirs, dir), append(pids, cmd.Process.Pid), append(wait, cmd.Wait)
	}
	for i, w := range wait {
		if err := w(); err != nil {
			t.Errorf("run %d: %v\n%s", i, err, said[i].String())
		}
	}
	var got []string
	for line := range strings.Lines(said[0].String() + said[1].String()) {
		if strings.Contains(line, ": download linux-image") || strings.Contains(line, ": unpack") {
			got = append(got, line)
		}
	}
	seen := map[string]bool{}
	for _, line := range got {
		if seen[line] {
			t.Errorf("both runs say %q", line)
		}
		seen[line] = true
	}
	t.Logf("%q", got)
	if len(got) == 0 {
		t.Errorf("no run says that it downloaded anything:\n%s%s", said[0].String(), said[1].String())
	}
	for _, dir := range dirs {
		mustBeWhole(t, dir, oneKernelCells)
	}
	mustLeaveNothing(t, cache, pids...)
}

// The second run on one directory says so and stops; the first goes on.
func TestVMTheSecondRunOnADirectoryStops(t *testing.T) {
	needVM(t)
	dir := t.TempDir()
	first := startRun(t, dir)
	for _, args := range [][]string{nil, {"--resume"}} {
		_, stderr, code := run(t, append([]string{"run", "--only", oneKernel, "--out", dir}, args...)...)
		if code != 2 || !strings.Contains(stderr, "another kqual run is writing to "+dir) {
			t.Errorf("the second run %q: exit %d\n%s", args, code, stderr)
		}
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first run: %v", err)
	}
	mustBeWhole(t, dir, oneKernelCells)
	if left, _ := filepath.Glob(filepath.Join(dir, ".*.json.*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	mustEnd(t, children(first.Process.Pid))
}

// What the run deadline cuts off has no answer, and is measured later.
func TestVMARunDeadlineIsGoneOnWith(t *testing.T) {
	needVM(t)
	dir := t.TempDir()
	// Both filesystems are more than any host measures in that time.
	const both, cells = "kernel=debian-11", 2 * oneKernelCells
	_, stderr, code := run(t, "run", "--only", both, "--out", dir, "--max-run-time", "1500ms")
	r := load(t, dir)
	late := 0
	for _, c := range r.Cells {
		if strings.HasPrefix(c.Verdict.Reason, "run deadline: not measured within 1.5s") {
			late++
		}
	}
	if code != 3 || r.State != reports.StateDone || late == 0 {
		t.Errorf("exit %d, state %s, %d cells were late:\n%s", code, r.State, late, stderr)
	}
	if out, stderr, code := run(t, "run", "--only", both, "--out", dir, "--resume"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	mustBeWhole(t, dir, cells)
}

// A run that was killed is found again without a word of where it is.
func TestVMResumeFindsTheKilledRun(t *testing.T) {
	needVM(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"run", "-m", filepath.Join(root, "matrix.yaml"), "--only", oneKernel}
	cmd := kqual(args...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	latest := filepath.Join(dir, "runs", "latest")
	deadline := time.Now().Add(2 * time.Minute)
	for finished := 0; finished < 2; time.Sleep(20 * time.Millisecond) {
		if r, err := reports.Load(filepath.Join(latest, "results.json")); err == nil {
			finished = len(r.Cells)
		}
		if time.Now().After(deadline) {
			t.Error("no two cells were finished")
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	stdout, stderr, code := call(t, dir, binary, append(args, "--resume")...)
	if code != 0 || !strings.Contains(stderr, "going on with runs/") || strings.Contains(stderr, " IN_DELETE: ") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	mustBeWhole(t, latest, oneKernelCells)
	if there, _ := filepath.Glob(filepath.Join(dir, "runs", "*")); len(there) != 2 { // the run and latest
		t.Errorf("there are %q", there)
	}
	if again, _, code := call(t, dir, binary, "report"); code != 0 || again != stdout {
		t.Errorf("kqual report (exit %d) says\n%s", code, again)
	}
}
