package history

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

// nightOf is a night with so many cells: kernels × 5 filesystems × 4 scenarios
// × 10 watches. Counts differ from night to night as real ones do.
func nightOf(night, cells int) *reports.Report {
	plain := matrix.Watch{Name: "IN_DELETE", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE"}}}
	in := reports.Input{
		Tool: reports.Tool{Name: "kqual", Version: "v1"}, State: reports.StateDone,
		Started: time.Date(2024, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, night),
		Host:    reports.Host{Kernel: "6.1", CPUs: 2, CPUModel: "CPU"},
		Spec: &matrix.Spec{
			Path: "matrix.yaml", Hash: "h", Version: 1, Name: "large",
			Sampling: matrix.Sampling{Pressure: matrix.PressureAuto, DetectionLimit: 0.001, Confidence: 0.95, MaxTime: 20 * time.Second},
			Expect:   []matrix.Rule{{Verdict: []matrix.VerdictKind{matrix.VerdictClean}, Why: "all are"}},
		},
		Catalog: matrix.Catalog{EventSources: map[string]matrix.EventSource{
			"inotify": {Name: "inotify", IsPlain: func(w matrix.Watch) bool { return w.Name == "IN_DELETE" }},
		}},
	}
	in.Finished = in.Started.Add(time.Hour)
	for k := range max(1, cells/200) {
		name := fmt.Sprintf("kernel-%d", k)
		run := matrix.KernelRun{
			Kernel: name, Index: k, Machine: matrix.Machine{VCPUs: 2, Memory: 512 << 20},
			Provenance: matrix.Provenance{Source: "debian", Version: fmt.Sprintf("6.1.%d-1", night/30), SHA256: fmt.Sprintf("%064x", night/30)},
			Boots:      []matrix.Boot{{Accel: "kvm", QEMU: "7.2", Release: "6.1", CPUModel: "host", CPUs: 2, End: "done"}},
		}
		for i := range min(cells, 200) {
			at := matrix.Cell{
				Kernel: name, Filesystem: []string{"tmpfs", "ext4", "xfs", "btrfs", "overlay"}[i/40],
				Scenario: []string{"unlink", "rmdir", "hardlink", "batch"}[i/10%4], Watch: plain,
			}
			if i%10 > 0 {
				at.Watch.Name = fmt.Sprintf("IN_DELETE+%d", i%10)
			}
			o := &matrix.Outcome{Status: matrix.Measured, Stop: matrix.StopRuledOut, Setup: time.Second, Elapsed: time.Second}
			for b := range 4 {
				c := matrix.Counts{Trials: 900 + (night*7+i+b)%90, Contested: 880, Decisive: 830 + (night+i*b)%40}
				o.Counts.Add(c)
				o.Blocks = append(o.Blocks, matrix.Block{Counts: c, Groups: 65, Sentinel: 38, Elapsed: time.Duration(night*1000+i) * time.Microsecond})
			}
			run.Cells = append(run.Cells, matrix.CellRun{Cell: at, Outcome: o})
			if i%10 == 0 && i/10%4 < 2 {
				run.Witnesses = append(run.Witnesses, matrix.Witness{Filesystem: at.Filesystem, Kind: at.Scenario, Order: matrix.Late})
			}
		}
		in.Runs = append(in.Runs, run)
	}
	return reports.Build(in)
}

// fill makes a history of so many nights of so many cells.
func fill(t testing.TB, dir string, nights, cells int) *DB {
	t.Helper()
	db := open1(t, dir)
	for i := range nights {
		add(t, db, nightOf(i, cells), fmt.Sprintf("night-%d", i))
	}
	return db
}

var trendCell = matrix.Cell{Kernel: "kernel-0", Filesystem: "ext4", Scenario: "unlink", Watch: matrix.Watch{Name: "IN_DELETE+3"}}

// What people wait for takes less than a second; the size here is a hundredth of
// that of the benchmark.
func TestManyNightsAreQuickToRead(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	db := fill(t, dir, 25, 800)
	within := func(what string, limit time.Duration, do func() error) {
		t.Helper()
		begin := time.Now()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if took := time.Since(begin); took > limit {
			t.Errorf("%s took %v, want less than %v", what, took, limit)
		}
	}
	within("a trend", time.Second, func() error {
		points, err := db.Trend(ctx, trendCell, 0)
		if err == nil && len(points) != 25 {
			t.Errorf("%d points", len(points))
		}
		return err
	})
	within("a comparison", 4*time.Second, func() error { // under the race detector, too
		d, err := db.Compare(ctx, "night-23", "night-24")
		if err == nil && (d.Common != 800 || len(d.Differences) != 0) {
			t.Errorf("%d cells in common, %d differences", d.Common, len(d.Differences))
		}
		return err
	})
}

// BenchmarkHistory has 1,000 nights of 2,000 cells, kept in KQUAL_HISTORY where
// that is set: it takes minutes to make. What people wait for every night must
// take less than a second.
func BenchmarkHistory(b *testing.B) {
	ctx := context.Background()
	dir := os.Getenv("KQUAL_HISTORY")
	if dir == "" {
		dir = b.TempDir()
	}
	const nights, cells = 1000, 2000
	db := open1(b, dir)
	runs, err := db.Runs(ctx, 0)
	if err != nil {
		b.Fatal(err)
	}
	for i := len(runs); i < nights; i++ {
		add(b, db, nightOf(i, cells), fmt.Sprintf("night-%d", i))
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) { // as a nightly does, with the check of the whole file
		for b.Loop() {
			db, err := Open(ctx, dir)
			if err != nil {
				b.Fatal(err)
			}
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		}
		if st, err := os.Stat(filepath.Join(dir, Name)); err == nil {
			b.ReportMetric(float64(st.Size())/1e6, "MB")
		}
	})
	read := func(b *testing.B, do func(*DB) error) {
		defer func() {
			if took := b.Elapsed() / time.Duration(b.N); took > time.Second {
				b.Errorf("it took %v, want less than a second", took)
			}
		}()
		for b.Loop() {
			db, err := Read(ctx, dir) // as a command does
			if err != nil {
				b.Fatal(err)
			}
			if err := do(db); err != nil {
				b.Fatal(err)
			}
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("trend", func(b *testing.B) {
		read(b, func(db *DB) error { _, err := db.Trend(ctx, trendCell, 0); return err })
	})
	b.Run("compare", func(b *testing.B) {
		read(b, func(db *DB) error { _, err := db.Compare(ctx, "night-998", "night-999"); return err })
	})
	b.Run("list", func(b *testing.B) {
		read(b, func(db *DB) error { _, err := db.Runs(ctx, 0); return err })
	})
}
