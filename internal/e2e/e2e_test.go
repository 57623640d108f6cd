package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

var binary string // the program under test

func TestMain(m *testing.M) {
	if os.Getenv("KQUAL_VM") != "1" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "kqual-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "kqual")
	// With a version: what a build without one decides, no later night relies on.
	build := exec.Command("go", "build", "-ldflags", "-X kqual/internal/cli.version=v0.0.0-e2e", "-o", binary, "kqual")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build kqual: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func needVM(t testing.TB) {
	t.Helper()
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("boots virtual machines; set KQUAL_VM=1 (make test does)")
	}
}

// kqual prepares a call of the program in the repository's root.
func kqual(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = "../.."
	return cmd
}

// run calls kqual and returns what it printed and its exit code.
func run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return call(t, "../..", binary, args...)
}

// call calls a program in a directory.
func call(t testing.TB, dir, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &out, &err
	e := cmd.Run()
	var exit *exec.ExitError
	if e != nil && !errors.As(e, &exit) {
		t.Fatal(e)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

func load(t testing.TB, dir string) *reports.Report {
	t.Helper()
	r, err := reports.Load(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The table that the default matrix must show, whatever its own expectations
// say: kernel → filesystem → verdict per watch, in the order of watches.
func TestVMTheDefaultMatrixShowsTheRegressionAndWhatHolds(t *testing.T) {
	needVM(t)
	watches := []string{"IN_DELETE", "IN_DELETE+EXCL_UNLINK", "IN_DELETE+nlink", "IN_DELETE+getdents", "FAN_DELETE+target_fid"}
	const (
		affected = string(matrix.VerdictAffected)
		holds    = string(matrix.VerdictHolds)
		clean    = string(matrix.VerdictClean)
		none     = string(matrix.VerdictUnsupported)
	)
	allClean := []string{clean, clean, clean, clean, clean}
	want := map[string]map[string][]string{
		"debian-11":           {"tmpfs": {clean, clean, clean, clean, none}, "ext4": allClean},
		"debian-12":           {"tmpfs": allClean, "ext4": allClean},
		"debian-13":           {"tmpfs": allClean, "ext4": allClean},
		"debian-13-backports": {"tmpfs": allClean, "ext4": allClean},
		"v5.10-affected":      {"tmpfs": {affected, affected, holds, holds, none}, "ext4": {affected, affected, holds, holds, holds}},
		"v5.10-excl-unlink":   {"tmpfs": {affected, holds, holds, holds, none}, "ext4": {affected, holds, holds, holds, holds}},
	}
	copied := copyOfTheProject(t)
	stdout, stderr, code := call(t, copied, "make", "qualify")
	t.Logf("%s", stdout)
	if code != 0 {
		t.Fatalf("exit %d; it said:\n%s", code, stderr)
	}
	dir := filepath.Join(copied, "runs", "latest")
	r := load(t, dir)
	if c := r.ControlCheck; c.Cells != 4 || c.Passed != 4 {
		t.Errorf("controls %+v; want 4 cells that pass", c)
	}
	got := map[string]matrix.Verdict{}
	for _, c := range r.Cells {
		got[c.ID()] = c.Verdict
		if c.Numbers != nil && c.Numbers.Blocks < matrix.MinBlocks {
			t.Errorf("%s rests on %d blocks", c.ID(), c.Numbers.Blocks)
		}
	}
	for kernel, filesystems := range want {
		for fs, verdicts := range filesystems {
			for i, verdict := range verdicts {
				id := kernel + "/" + fs + "/unlink/" + watches[i]
				v, ok := got[id]
				if !ok || string(v.Kind) != verdict {
					t.Errorf("%s: %s, want %s", id, matrix.VerdictText(v), verdict)
				}
				if verdict == affected && (v.Of == 0 || float64(v.Count) < 0.95*float64(v.Of)) {
					t.Errorf("%s: %d of %d decisive trials stale, want 95 %%", id, v.Count, v.Of)
				}
				if verdict == none && !strings.Contains(v.Reason, "ENODEV") {
					t.Errorf("%s: %q, want ENODEV", id, v.Reason)
				}
			}
		}
	}
	for _, text := range []string{"STALE", "affected on v5.10-affected", "Time: boot"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("the table lacks %q", text)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "report.md")); err != nil {
		t.Error(err)
	}
	again, _, code := run(t, "report", filepath.Join(dir, "results.json"))
	if code != 0 || !strings.Contains(stdout, again) { // make says more around it
		t.Errorf("kqual report renders something else (exit %d):\n%s", code, again)
	}
	for _, line := range commandsOfTheReadme(t) {
		if line == "make qualify" || line == "make test" { // the one is through, the other is this
			continue
		}
		t.Run(line, func(t *testing.T) {
			if out, said, code := call(t, copied, "sh", "-c", line); code != 0 {
				t.Errorf("exit %d\n%s%s", code, out, said)
			}
		})
	}
}

// oneKernel selects so many cells of the default matrix.
const (
	oneKernel      = "kernel=debian-11,filesystem=tmpfs"
	oneKernelCells = 6
)

func TestVMASecondRunFetchesNothing(t *testing.T) {
	needVM(t)
	if _, stderr, code := run(t, "run", "--only", oneKernel, "--out", t.TempDir()); code != 0 {
		t.Fatalf("exit %d:\n%s", code, stderr)
	}
	_, stderr, code := run(t, "run", "--only", oneKernel, "--out", t.TempDir())
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, line := range strings.Split(stderr, "\n") {
		if strings.Contains(line, "download") || strings.Contains(line, "build kernel") || strings.Contains(line, "unpack") {
			t.Errorf("the second run says %q", line)
		}
	}
}

// startRun starts a run and returns when its first cell is finished.
func startRun(t *testing.T, dir string) *started {
	t.Helper()
	r := start(t, "run", "--only", oneKernel, "--out", dir)
	if !r.until(func(line string) bool { return strings.Contains(line, "IN_DELETE: clean") }) {
		_ = r.Wait()
		t.Fatalf("no cell was finished:\n%s", strings.Join(r.said, "\n"))
	}
	return r
}

func TestVMCtrlCKeepsWhatIsFinished(t *testing.T) {
	needVM(t)
	dir := t.TempDir()
	cmd := startRun(t, dir)
	machines := children(cmd.Process.Pid)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.until(func(string) bool { return false })
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d, want 130", code)
	}
	r := load(t, dir)
	finished := 0
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil {
				finished++
			}
		}
	}
	if r.State != reports.StateInterrupted || finished == 0 {
		t.Errorf("state %s, %d cells finished", r.State, finished)
	}
	mustEnd(t, machines)
}

func TestVMNoMachineOutlivesAKill(t *testing.T) {
	needVM(t)
	dir := t.TempDir()
	cmd := startRun(t, dir)
	machines := children(cmd.Process.Pid)
	if len(machines) == 0 {
		t.Fatal("found no machine to outlive kqual")
	}
	if !cmd.kill() {
		t.Fatal("it had ended before it was killed")
	}
	mustEnd(t, machines)
	if r := load(t, dir); r.State != reports.StateRunning {
		t.Errorf("the results of a killed run say %q", r.State)
	}
}

// A disk without room for the results takes the files, not the table.
func TestVMAFullDiskDoesNotTakeTheTable(t *testing.T) {
	needVM(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, 0)
	stdout, stderr, code := run(t, "run", "--only", oneKernel+",watch=IN_DELETE", "--out", dir)
	if code != 3 || !strings.Contains(stdout, "clean <") || strings.Count(stderr, "no space left on device") == 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "results.json")); err == nil {
		load(t, dir) // whatever is there is whole
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".results.json.*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
	t.Log(stderr)
}

// mustEnd fails if a process is still there after a few seconds.
func mustEnd(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range pids {
		for syscall.Kill(pid, 0) == nil && !zombie(pid) {
			if time.Now().After(deadline) {
				t.Errorf("process %d outlived kqual", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// stat returns the fields of /proc/PID/stat behind the name: state, ppid, ….
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

func zombie(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] == "Z"
}

// children lists the direct children of a process.
func children(parent int) []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if f := stat(pid); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			out = append(out, pid)
		}
	}
	return out
}
