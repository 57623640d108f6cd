package history

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

func saved(t testing.TB, name string) *reports.Report {
	t.Helper()
	r, err := reports.Load(filepath.Join("../../reports/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open1(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func add(t testing.TB, db *DB, r *reports.Report, id string) {
	t.Helper()
	if _, isNew, err := db.Import(context.Background(), r, Source{ID: id}); err != nil || !isNew {
		t.Fatalf("import of %s: new %v, %v", id, isNew, err)
	}
}

func TestWhatIsImportedIsExportedByteByByte(t *testing.T) {
	db := open1(t, t.TempDir())
	for _, name := range []string{"results.json", "real.json"} {
		r := saved(t, name)
		want, err := reports.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		id, isNew, err := db.Import(context.Background(), r, Source{})
		if err != nil || !isNew {
			t.Fatalf("%s: new %v, %v", name, isNew, err)
		}
		got, err := db.Export(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the export differs from what was imported", name)
		}
		again, err := reports.Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		if twice, _ := reports.Encode(again); !bytes.Equal(twice, want) {
			t.Errorf("%s: the export read again is another report", name)
		}
	}
}

func TestImportTwiceChangesNothing(t *testing.T) {
	ctx := context.Background()
	db := open1(t, t.TempDir())
	r := saved(t, "real.json")
	first, _, err := db.Import(ctx, r, Source{ID: "night"})
	if err != nil {
		t.Fatal(err)
	}
	second, isNew, err := db.Import(ctx, r, Source{ID: "another name"})
	if err != nil || isNew || second != first {
		t.Errorf("the second import gave %q, new %v, %v", second, isNew, err)
	}
	if runs, err := db.Runs(ctx, 0); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	r.Started = r.Started.Add(time.Hour)
	if _, _, err := db.Import(ctx, r, Source{ID: "night"}); err == nil || !strings.Contains(err.Error(), "another run named night") {
		t.Errorf("another report under a name that is taken: %v", err)
	}
}

func TestEveryCellIsFiledWithItsCounts(t *testing.T) {
	ctx := context.Background()
	db := open1(t, t.TempDir())
	r := saved(t, "real.json")
	add(t, db, r, "n")
	cells, err := db.Cells(ctx, "n")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]matrix.Judged{}
	for _, c := range cells {
		got[c.Cell.ID()] = c
	}
	if len(got) != len(r.Cells) {
		t.Errorf("%d cells, want %d", len(got), len(r.Cells))
	}
	for _, c := range r.Cells {
		g := got[c.ID()]
		if v := g.Verdict; v.Kind != c.Verdict.Kind || v.Count != c.Verdict.Count || v.Of != c.Verdict.Of || v.Hi != c.Verdict.Hi {
			t.Errorf("%s: %+v, want %+v", c.ID(), v, c.Verdict)
		}
	}
	var trials, want int
	if err := db.sql.QueryRow("SELECT sum(trials) FROM cells").Scan(&trials); err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil {
				want += c.Outcome.Counts.Trials
			}
		}
	}
	if trials != want || want == 0 {
		t.Errorf("%d trials are filed, want %d", trials, want)
	}
	kernels, err := db.Kernels(ctx, "n")
	if err != nil || len(kernels) != len(r.Kernels) {
		t.Fatalf("%d kernels, %v", len(kernels), err)
	}
	for _, k := range r.Kernels {
		for _, g := range kernels {
			if g.Kernel == k.Kernel && (g.Provenance.SHA256 != k.Provenance.SHA256 || len(g.Boots) != len(k.Boots)) {
				t.Errorf("%s: %+v with %d boots", k.Kernel, g.Provenance, len(g.Boots))
			}
		}
	}
}

func TestTrendAndTags(t *testing.T) {
	ctx := context.Background()
	db := open1(t, t.TempDir())
	r := saved(t, "results.json")
	for _, id := range []string{"first", "second", "third"} {
		add(t, db, r, id)
		r.Started = r.Started.Add(24 * time.Hour)
	}
	c := r.Cells[1]
	at := matrix.Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch}}
	points, err := db.Trend(ctx, at, 2)
	if err != nil || len(points) != 2 || points[0].Run != "second" || points[1].Run != "third" || points[1].Text != c.Text {
		t.Errorf("trend %+v, %v", points, err)
	}
	at.Kernel = "nobody"
	if _, err := db.Trend(ctx, at, 0); err == nil || !strings.Contains(err.Error(), "no cell nobody/") {
		t.Errorf("trend of an unknown cell: %v", err)
	}
	for _, id := range []string{"first", "second"} {
		if err := db.Tag(ctx, id, "released"); err != nil {
			t.Fatal(err)
		}
		if run, err := db.Find(ctx, "released"); err != nil || run.ID != id {
			t.Errorf("the tag names %q, %v", run.ID, err)
		}
	}
	for _, bad := range []string{"", "last", "first", "a b"} {
		if err := db.Tag(ctx, "first", bad); err == nil {
			t.Errorf("%q became a tag", bad)
		}
	}
	third, err := db.Find(ctx, "last")
	if err != nil || third.ID != "third" {
		t.Fatalf("last is %q, %v", third.ID, err)
	}
	if run, err := db.Before(ctx, r.Matrix.Name, third.Started); err != nil || run.ID != "second" {
		t.Errorf("before the third is %q, %v", run.ID, err)
	}
}

func TestLogsAreKeptByContent(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	db := open1(t, dir)
	r := saved(t, "results.json")
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("[ 1.0] a line of a console\n", 100)
	if err := os.WriteFile(filepath.Join(logs, filepath.Base(r.Kernels[0].Boots[0].ConsoleLog)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if _, _, err := db.Import(ctx, r, Source{ID: id, Logs: logs}); err != nil {
			t.Fatal(err)
		}
		r.Started = r.Started.Add(time.Hour)
	}
	var n int
	var sum string
	if err := db.sql.QueryRow("SELECT count(*), max(sha256) FROM logs").Scan(&n, &sum); err != nil || n != 1 {
		t.Fatalf("%d logs, %v", n, err)
	}
	if got, err := db.Log(ctx, sum); err != nil || string(got) != text {
		t.Errorf("the log is %d bytes, %v", len(got), err)
	}
}

// A damaged file is kept under another name, whatever is wrong with it.
func TestADamagedFileIsSetAside(t *testing.T) {
	ctx := context.Background()
	for name, damage := range map[string]func([]byte) []byte{
		"not a database": func([]byte) []byte { return []byte(strings.Repeat("no database at all\n", 500)) },
		"overwritten pages": func(b []byte) []byte {
			for i := 4096; i < len(b); i++ {
				b[i] ^= 0x55
			}
			return b
		},
		"cut off": func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := Open(ctx, dir)
			if err != nil {
				t.Fatal(err)
			}
			add(t, db, saved(t, "real.json"), "n")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, Name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := damage(data)
			if err := os.WriteFile(path, broken, 0o644); err != nil {
				t.Fatal(err)
			}
			if ro, err := Read(ctx, dir); err == nil {
				_ = ro.Close()
				t.Error("a damaged file is read")
			}
			db, err = Open(ctx, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if db.SetAside == "" || db.Damage == "" {
				t.Fatal("the damage was not noticed")
			}
			if kept, err := os.ReadFile(db.SetAside); err != nil || !bytes.Equal(kept, broken) {
				t.Errorf("the damaged file was not kept: %v", err)
			}
			if runs, err := db.Runs(ctx, 0); err != nil || len(runs) != 0 {
				t.Errorf("the new history has %d runs, %v", len(runs), err)
			}
		})
	}
}

func TestAFileOfANewerKqualIsLeftAlone(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	db, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.sql.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir); err == nil || !strings.Contains(err.Error(), "schema version 999") {
		t.Errorf("it said %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*damaged*")); len(left) > 0 {
		t.Errorf("it was moved to %s", left)
	}
}
