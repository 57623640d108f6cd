package history

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kqual/matrix"
)

var update = flag.Bool("update", false, "write the history of the newest schema version; what was released is never written again")

// kept is a history of a schema version as a kqual of that time left it, in the
// words of sqlite3 .dump.
func kept(version int) string { return filepath.Join("testdata", fmt.Sprintf("v%d.sql", version)) }

const keptLog = "[ 1.0] a line of a console\n"

// writeKept files what testdata keeps of a version.
func writeKept(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	db := open1(t, dir)
	r := saved(t, "results.json")
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, filepath.Base(r.Kernels[0].Boots[0].ConsoleLog)), []byte(keptLog), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Import(ctx, r, Source{ID: "2026-11-24-1", Path: "results.json", Logs: logs}); err != nil {
		t.Fatal(err)
	}
	if err := db.SetNight(ctx, "2026-11-24-1", "", 0, "as expected", []byte(`{"run": "2026-11-24-1"}`)); err != nil {
		t.Fatal(err)
	}
	if err := db.Tag(ctx, "2026-11-24-1", "good"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sqlite3", filepath.Join(dir, Name), ".dump").Output()
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, fmt.Sprintf("PRAGMA user_version = %d;\n", len(migrations))...)
	if err := os.WriteFile(kept(len(migrations)), out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// restore makes a history of what is kept of a version, and returns the results
// in it.
func restore(t *testing.T, version int) (dir string, results []byte) {
	t.Helper()
	text, err := os.ReadFile(kept(version))
	if err != nil {
		t.Fatalf("%v; write it with -update before the version is released", err)
	}
	dir = t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, Name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	var packed []byte
	if err := db.QueryRow("SELECT results FROM runs").Scan(&packed); err != nil {
		t.Fatal(err)
	}
	if results, err = unpack(packed); err != nil {
		t.Fatal(err)
	}
	return dir, results
}

func schemaOf(t *testing.T, db *sql.DB) (out []string, version int) {
	t.Helper()
	rows, err := db.Query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return out, version
}

// Every version that there was becomes the newest one and keeps what it had.
func TestEveryOlderSchemaIsBroughtUpToDate(t *testing.T) {
	ctx := context.Background()
	if *update {
		writeKept(t)
	}
	newest, _ := schemaOf(t, open1(t, t.TempDir()).sql)
	for version := 1; version <= len(migrations); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			dir, want := restore(t, version)
			db := open1(t, dir)
			if db.SetAside != "" {
				t.Fatalf("it was set aside: %s", db.Damage)
			}
			if schema, at := schemaOf(t, db.sql); at != len(migrations) || !slices.Equal(schema, newest) {
				t.Errorf("schema version %d is not that of a new file:\n%s\nnew\n%s", at, strings.Join(schema, "\n"), strings.Join(newest, "\n"))
			}
			run, err := db.Find(ctx, "good")
			if err != nil || run.ID != "2026-11-24-1" || run.Verdicts["clean"] != 10 || run.Why != "as expected" {
				t.Errorf("%+v, %v", run, err)
			}
			if got, err := db.Export(ctx, run.ID); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the results are others: %v", err)
			}
			if r, err := db.Report(ctx, run.ID); err != nil || len(r.Kernels) == 0 || len(r.Cells) == 0 {
				t.Errorf("the results are not read as they were: %v", err)
			}
			if data, err := db.Changes(ctx, run.ID); err != nil || string(data) != `{"run": "2026-11-24-1"}` {
				t.Errorf("night %s, %v", data, err)
			}
			at := matrix.Cell{Kernel: "debian-11", Filesystem: "tmpfs", Scenario: "unlink", Watch: matrix.Watch{Name: "IN_DELETE"}}
			points, err := db.Trend(ctx, at, 0)
			if err != nil || len(points) != 1 || points[0].Verdict.Of != 3700 || points[0].Conditions.Accel != "tcg" {
				t.Fatalf("trend %+v, %v", points, err)
			}
			if log, err := db.Log(ctx, points[0].Log); err != nil || string(log) != keptLog {
				t.Errorf("log %q, %v", log, err)
			}
			// The next night is filed beside it, and compared.
			next := saved(t, "results.json")
			next.Started = next.Started.AddDate(0, 0, 1)
			add(t, db, next, "2026-11-25-1")
			if d, err := db.Compare(ctx, run.ID, "2026-11-25-1"); err != nil || d.Common != 12 || len(d.Differences) != 0 {
				t.Errorf("comparison %+v, %v", d, err)
			}
		})
	}
}

// A step that fails changes nothing; the same file is brought up to date later,
// and an older kqual leaves it alone then.
func TestAMigrationIsWholeOrNotAtAll(t *testing.T) {
	ctx := context.Background()
	released := migrations
	defer func() { migrations = released }()
	dir, _ := restore(t, len(released))
	good := "ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';"
	migrations = append(slices.Clip(released), good+"CREATE TABLE runs (run INTEGER);")
	if db, err := Open(ctx, dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema version %d", len(migrations))) {
		_ = db.Close()
		t.Errorf("a step that fails: %v", err)
	}
	migrations = released
	if db, err := Read(ctx, dir); err != nil {
		t.Errorf("after the step that failed: %v", err)
	} else if _, version := schemaOf(t, db.sql); version != len(released) {
		t.Errorf("it has version %d", version)
	} else if err := db.Close(); err != nil {
		t.Error(err)
	}
	migrations = append(slices.Clip(released), good)
	db, err := Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if runs, err := db.Runs(ctx, 0); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	migrations = released
	if _, err := Read(ctx, dir); err == nil || !strings.Contains(err.Error(), "this kqual reads") {
		t.Errorf("an older kqual reads it: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*damaged*")); len(left) > 0 {
		t.Errorf("it was set aside: %s", left)
	}
}
