package reports

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
)

// large is a run of 300 kernels with 60 cells each: five places, twelve
// watches. Kernels before 200 are affected.
func large() Input {
	in := synthetic()
	watches := []matrix.Watch{plainIN}
	for i := range 11 {
		watches = append(watches, inotify(fmt.Sprintf("IN_DELETE+check-%02d", i), "getdents"))
	}
	in.Spec.Watches = watches
	in.Spec.Expect = nil
	in.Runs = nil
	for n := range 300 {
		version := fmt.Sprintf("%d.%d.%d-1", 4+n/100, n%100/5, n%5+1)
		run := kernelRun(n, fmt.Sprintf("kernel-%03d", n), "debian", version, version+"-amd64", "", nil)
		order := matrix.Late
		if n < 200 {
			order = matrix.Early
		}
		for p := range 5 {
			fs := fmt.Sprintf("fs%d", p)
			run.Witnesses = append(run.Witnesses, matrix.Witness{Filesystem: fs, Kind: "unlink", Order: order})
			for i, w := range watches {
				o := fixed()
				if n < 200 && i == 0 {
					o = stale(120+n%8, 128)
				}
				run.Cells = append(run.Cells, matrix.CellRun{Cell: matrix.Cell{Kernel: run.Kernel, Filesystem: fs, Scenario: "unlink", Watch: w}, Outcome: o})
			}
		}
		in.Runs = append(in.Runs, run)
	}
	return in
}

// largeMemory is what a report of 18,000 cells and its rendering may keep, in
// bytes of the heap. How long that takes is for the benchmark.
const largeMemory = 300 << 20

func TestLargeReportIsSmall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes its own time and memory; make test-browser runs this without it")
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := Save(path, Build(large())); err != nil {
		t.Fatal(err)
	}
	var sums strings.Builder // what was rendered: too large for a golden file of its own
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			runtime.GC()
			begin := time.Now()
			r, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := f.Render(&b, r, Options{}); err != nil {
				t.Fatal(err)
			}
			took := time.Since(begin)
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			runtime.KeepAlive(r)
			t.Logf("%s: %v, %d MiB of heap, %d KiB of output", f.Name, took.Round(time.Millisecond), m.HeapInuse>>20, b.Len()>>10)
			if m.HeapInuse > largeMemory {
				t.Errorf("took %d MiB of heap, want at most %d MiB", m.HeapInuse>>20, largeMemory>>20)
			}
			if !f.Binary {
				fmt.Fprintf(&sums, "%s: %d bytes, %d lines, sha256 %x\n", f.Name, b.Len(), bytes.Count(b.Bytes(), []byte("\n")), sha256.Sum256(b.Bytes()))
			}
		})
	}
	t.Run("large.txt", func(t *testing.T) { goldenBytes(t, "large.txt", []byte(sums.String())) })
}

func BenchmarkLargeReport(b *testing.B) {
	path := filepath.Join(b.TempDir(), "results.json")
	if err := Save(path, Build(large())); err != nil {
		b.Fatal(err)
	}
	for _, f := range Formats() {
		b.Run(f.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := Load(path)
				if err != nil {
					b.Fatal(err)
				}
				var out bytes.Buffer
				if err := f.Render(&out, r, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
