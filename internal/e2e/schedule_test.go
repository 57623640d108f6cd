package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kqual/matrix"
	"kqual/reports"
)

// manyKernels writes a matrix of n kernels with few cells: those of the default
// matrix under other names, again and again.
func manyKernels(tb testing.TB, n int) string {
	tb.Helper()
	sources := []string{
		"debian: {suite: bullseye, package: linux-image-cloud-amd64}",
		"build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected]}",
		"debian: {suite: bookworm, package: linux-image-cloud-amd64}",
		"build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected, excl-unlink]}",
		"debian: {suite: trixie, package: linux-image-cloud-amd64}",
		"debian: {suite: trixie-backports, package: linux-image-cloud-amd64}",
	}
	var b strings.Builder
	b.WriteString("version: 1\nname: many\nsampling: {detection_limit: 0.5%}\nkernels:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: k%02d\n    %s\n", i, sources[i%len(sources)])
	}
	b.WriteString(`filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: IN_DELETE+EXCL_UNLINK, inotify: [IN_DELETE, IN_EXCL_UNLINK]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
`)
	path := filepath.Join(tb.TempDir(), "matrix.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Twenty-four kernels, one machine at a time and as they are scheduled, on an
// idle host and beside a busy loop on every CPU: the time of the whole, against
// the sum of its boots and cells one at a time, and what of the trials is good
// evidence.
func BenchmarkVMTwentyFourKernels(b *testing.B) {
	needVM(b)
	const kernels = 24
	path := manyKernels(b, kernels)
	for _, busy := range []int{0, 2} {
		for _, v := range []struct {
			name string
			args []string
		}{{"one-at-a-time", []string{"--jobs", "1"}}, {"scheduled", nil}} {
			b.Run(fmt.Sprintf("%s/%d-cores-busy", v.name, busy), func(b *testing.B) {
				keepBusy(b, busy)
				for b.Loop() {
					dir := b.TempDir()
					if out, err := kqual(append([]string{"run", "-m", path, "--out", dir}, v.args...)...).CombinedOutput(); err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					r := load(b, dir)
					n := counts(r)
					b.ReportMetric(r.Timing.Wall.Seconds(), "s/run")
					b.ReportMetric((r.Timing.Boot + r.Timing.Cells).Seconds(), "s/parts")
					b.ReportMetric(r.Timing.Boot.Seconds(), "s/boots")
					b.ReportMetric(100*float64(n.Contested)/float64(n.Trials), "%contested")
					b.ReportMetric(100*float64(n.Decisive)/float64(n.Trials), "%decisive")
				}
			})
		}
	}
}

// counts adds up the trials of a run.
func counts(r *reports.Report) (n matrix.Counts) {
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil {
				n.Add(c.Outcome.Counts)
			}
		}
	}
	return n
}

// keepBusy keeps n host cores busy until the end of the benchmark or test.
func keepBusy(tb testing.TB, n int) {
	tb.Helper()
	for range n {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			_ = busy.Process.Kill()
			_ = busy.Wait()
		})
	}
}
