package runner

import (
	"cmp"
	"context"
	"os/exec"
	"slices"
	"testing"
	"time"

	"kqual/matrix"
)

// The kernels that boots are timed with.
var benchKernels = []struct{ name, kernel string }{
	{"5.10-affected", affected},
	{"debian-11", debian11},
	{"debian-12", debian12},
	{"debian-13-backports", "debian: {suite: trixie-backports, package: linux-image-cloud-amd64}"},
}

// Boots with the real guest and with a bare static init take turns, so that a
// noisy host is noisy for both. The ratio is of the medians.
func BenchmarkVMBoot(b *testing.B) {
	needVM(b)
	haveTheHost(b)
	for _, k := range benchKernels {
		b.Run(k.name, func(b *testing.B) {
			img := image(b, k.kernel)
			var real, bare []time.Duration
			for b.Loop() {
				for _, p := range []struct {
					program string
					took    *[]time.Duration
				}{{"guest", &real}, {"bareinit", &bare}} {
					boot := &boot{
						image: img, guest: program(b, p.program), accel: AccelTCG, dir: b.TempDir(), probe: true,
						machine: matrix.Machine{VCPUs: 2, Memory: matrix.DefaultMemory}, cpus: hostCPUs(),
					}
					res := boot.run(context.Background())
					for tries := 1; res.emulator && tries < maxEmulator; tries++ {
						res = boot.run(context.Background())
					}
					if res.failure != nil {
						b.Fatal(res.failure)
					}
					*p.took = append(*p.took, res.boot.FirstRecord)
				}
			}
			b.ReportMetric(median(real).Seconds(), "s/boot")
			b.ReportMetric(median(bare).Seconds(), "s/bare-init")
			b.ReportMetric(median(real).Seconds()/median(bare).Seconds(), "ratio")
		})
	}
}

func median[T cmp.Ordered](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// What the cells of the core take in the guest, and how good the instrument's
// grip is: stale of decisive on the affected kernel, decisive of all trials.
func BenchmarkVMCells(b *testing.B) {
	needVM(b)
	for _, load := range []struct {
		name string
		busy int // processes that keep a host core busy
	}{{"idle", 0}, {"1-core-busy", 1}, {"2-cores-busy", 2}} {
		for _, k := range []struct{ name, kernel string }{{"affected", affected}, {"fixed", debian11}} {
			b.Run(k.name+"/"+load.name, func(b *testing.B) {
				keepBusy(b, load.busy)
				cfg, _ := testRun(b, coreMatrix(k.kernel, "tmpfs", ""))
				var plain []time.Duration // trials of the IN_DELETE cell
				var setup time.Duration
				var n matrix.Counts
				for b.Loop() {
					runs, err := Run(context.Background(), cfg)
					if err != nil {
						b.Fatal(err)
					}
					for _, c := range runs[0].Cells {
						if c.Outcome == nil {
							b.Fatal(c.Error)
						}
						if c.Cell.Watch.Name == "IN_DELETE" {
							plain = append(plain, c.Outcome.Elapsed)
							setup += c.Outcome.Setup
							n.Add(c.Outcome.Counts)
						}
					}
				}
				b.ReportMetric(float64(median(plain).Milliseconds()), "ms/cell")
				b.ReportMetric(float64(setup.Milliseconds())/float64(len(plain)), "ms/set-up")
				b.ReportMetric(100*float64(n.Decisive)/float64(n.Trials), "%decisive")
				b.ReportMetric(100*float64(n.StaleDecisive)/float64(n.Decisive), "%stale-of-decisive")
			})
		}
	}
}

// keepBusy keeps n host cores busy until the end of the benchmark or test.
func keepBusy(tb testing.TB, n int) {
	tb.Helper()
	for range n {
		ctx, cancel := context.WithCancel(context.Background())
		busy := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			cancel()
			_ = busy.Wait()
		})
	}
}
