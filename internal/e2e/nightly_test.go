package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kqual/internal/nightly"
	"kqual/matrix"
)

const nightsMatrix = `version: 1
name: three-nights
machine: {vcpus: 2, memory: 512MiB, accel: auto}
sampling: {pressure: auto, detection_limit: 0.2%, confidence: 95%, max_time: 20s}
kernels:
  - name: candidate
    KERNEL
  - name: other
    OTHER
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE,       inotify: [IN_DELETE]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
`

const (
	fixedKernel    = `debian: {suite: bullseye, package: linux-image-cloud-amd64}`
	affectedKernel = `build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected]}`
	otherKernel    = `debian: {suite: bookworm, package: linux-image-cloud-amd64}`
)

// Three nights: a baseline; a kernel that is replaced by an affected build under
// its name; that one fixed again, and another one that cannot be had.
func TestVMThreeNights(t *testing.T) {
	needVM(t)
	dir := t.TempDir()
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "matrix.yaml")
	night := func(want int, candidate, other string) nightly.Night {
		t.Helper()
		text := strings.NewReplacer("KERNEL", candidate, "OTHER", other).Replace(nightsMatrix)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := run(t, "nightly", "-m", file, "--state", state, "--json", "--on-change", "cat > "+filepath.Join(dir, "told.json"))
		if code != want {
			t.Fatalf("exit %d, want %d\n%s%s", code, want, stdout, stderr)
		}
		var n nightly.Night
		if err := json.Unmarshal([]byte(stdout), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	kinds := func(n nightly.Night, change matrix.Meaning) (cells []string) {
		for _, d := range n.Diff.Differences {
			if d.Change == change {
				cells = append(cells, d.Cell)
			}
		}
		slices.Sort(cells)
		return cells
	}
	first := night(0, fixedKernel, otherKernel)
	if _, err := os.Stat(filepath.Join(dir, "told.json")); err == nil {
		t.Error("the hook was called on the first night")
	}

	second := night(1, affectedKernel, otherKernel)
	if got := kinds(second, matrix.ChangeNew); !slices.Equal(got, []string{"candidate/tmpfs/unlink/IN_DELETE"}) {
		t.Errorf("new on the second night: %q", got)
	}
	for _, d := range second.Diff.Differences {
		if !strings.HasPrefix(d.Cell, "candidate/") && !strings.HasPrefix(d.Text, "candidate: ") {
			t.Errorf("another change on the second night: %+v", d)
		}
	}
	if second.Baseline != first.Run || len(kinds(second, matrix.ChangeLost)) > 0 {
		t.Errorf("baseline %s, lost %q", second.Baseline, kinds(second, matrix.ChangeLost))
	}
	var told nightly.Night
	data, err := os.ReadFile(filepath.Join(dir, "told.json"))
	if err != nil || json.Unmarshal(data, &told) != nil || told.Run != second.Run {
		t.Errorf("the hook was told %s, %v", data, err)
	}

	third := night(3, fixedKernel, `file: {vmlinuz: `+filepath.Join(dir, "gone")+`}`)
	if got := kinds(third, matrix.ChangeFixed); !slices.Equal(got, []string{"candidate/tmpfs/unlink/IN_DELETE"}) {
		t.Errorf("fixed on the third night: %q", got)
	}
	if got := kinds(third, matrix.ChangeLost); !slices.Equal(got, []string{"other/tmpfs/unlink/IN_DELETE", "other/tmpfs/unlink/IN_DELETE+nlink"}) {
		t.Errorf("lost on the third night: %q", got)
	}
	// The tests' binary has a version of its own: what a night decided is good.
	for _, c := range third.Carried {
		if c.Run != first.Run || !strings.HasPrefix(c.Cell, "candidate/") {
			t.Errorf("taken over: %+v", c)
		}
	}
	if len(third.Carried) != 2 {
		t.Errorf("%d cells were taken over from the first night, want 2", len(third.Carried))
	}
	stdout, stderr, code := run(t, "history", "trend", "candidate/tmpfs/unlink/IN_DELETE", "--state", state)
	if code != 0 || strings.Count(stdout, "clean") != 2 || strings.Count(stdout, "STALE") != 1 {
		t.Errorf("trend, exit %d:\n%s%s", code, stdout, stderr)
	}
}
