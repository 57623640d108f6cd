package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"kqual/matrix"
)

// An arm64 kernel beside the amd64 one of the same source: every cell has a firm
// answer, in the machine that the kernel is for.
func TestVMKernelsOfTwoArchitecturesInOneMatrix(t *testing.T) {
	needVM(t)
	path := filepath.Join(t.TempDir(), "two.yaml")
	text := `version: 1
name: two
sampling: {detection_limit: 0.5%}
kernels:
  - {name: amd64, debian: {suite: bookworm, package: linux-image-cloud-amd64}}
  - {name: arm64, arch: arm64, debian: {suite: bookworm, package: linux-image-cloud-arm64}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: IN_DELETE+getdents, inotify: [IN_DELETE], check: getdents}
expect:
  - {verdict: clean, why: "both have a37d9a17f099"}
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stdout, stderr, code := run(t, "run", "-m", path, "--out", dir)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	if !strings.Contains(stdout, "amd64 and arm64") {
		t.Errorf("the table does not name the architectures:\n%s", stdout)
	}
	r := load(t, dir)
	for _, k := range r.Kernels {
		name := k.Kernel
		if k.Machine.Arch != name || k.Provenance.Arch != name || len(k.Boots) == 0 {
			t.Fatalf("%s: machine %+v, provenance %+v, %d boots", name, k.Machine, k.Provenance, len(k.Boots))
		}
		b := k.Boots[len(k.Boots)-1]
		if !strings.HasSuffix(b.Release, "-"+name) || b.CPUs != k.Machine.VCPUs || b.End != "done" || name != runtime.GOARCH && b.Accel != "tcg" {
			t.Errorf("%s: boot %+v", name, b)
		}
		t.Logf("%s: first record after %.1f s, %d boots, CPU %s, clock %s", name, b.FirstRecord.Seconds(), len(k.Boots), b.CPUModel, b.Clocksource)
		for _, c := range k.Cells {
			n := c.Outcome.Counts
			if n.Decisive < n.Trials/4 {
				t.Errorf("%s: %d of %d trials are decisive", c.Cell.ID(), n.Decisive, n.Trials)
			}
			t.Logf("%s: %d trials in %.1f s, %.0f %% contested, %.0f %% decisive", c.Cell.ID(), n.Trials, c.Outcome.Elapsed.Seconds(),
				100*float64(n.Contested)/float64(n.Trials), 100*float64(n.Decisive)/float64(n.Trials))
		}
	}
	for _, c := range r.Cells {
		if c.Verdict.Kind != matrix.VerdictClean {
			t.Errorf("%s: %s", c.ID(), matrix.VerdictText(c.Verdict))
		}
	}
}
