package nightly

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

func makeNight(t *testing.T, state, id string, files ...string) {
	t.Helper()
	if err := os.MkdirAll(Dir(state, id), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(Dir(state, id), f), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNightsAreInTheirOrder(t *testing.T) {
	state := t.TempDir()
	for _, id := range []string{"2026-11-24-10", "2026-11-24-9", "2026-02-01-1", "lost+found"} {
		makeNight(t, state, id)
	}
	got, err := Nights(state)
	if want := []string{"2026-02-01-1", "2026-11-24-9", "2026-11-24-10"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if none, err := Nights(filepath.Join(state, "nowhere")); err != nil || len(none) != 0 {
		t.Errorf("nowhere: %v, %v", none, err)
	}
}

func TestChooseGoesOnOnlyWithWhatFits(t *testing.T) {
	tool := reports.Tool{Name: "kqual", Version: "v1"}
	at := time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC)
	unfinished := func(t *testing.T, state string, change func(*reports.Report)) {
		t.Helper()
		r, err := reports.Load("../../reports/testdata/results.json")
		if err != nil {
			t.Fatal(err)
		}
		r.State, r.Tool, r.Matrix.SHA256, r.Started = reports.StateRunning, tool, "same", at.Add(-time.Hour)
		change(r)
		makeNight(t, state, "2026-11-24-1")
		if err := reports.Save(filepath.Join(Dir(state, "2026-11-24-1"), ResultsName), r); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, state string)
		now     time.Time
		want    string
		goesOn  bool
		left    string
	}{
		"nothing":       {func(*testing.T, string) {}, at, "2026-11-24-1", false, ""},
		"the same":      {func(t *testing.T, s string) { unfinished(t, s, func(*reports.Report) {}) }, at, "2026-11-24-1", true, ""},
		"past midnight": {func(t *testing.T, s string) { unfinished(t, s, func(*reports.Report) {}) }, at.Add(2 * time.Hour), "2026-11-24-1", true, ""},
		"finished": {func(t *testing.T, s string) {
			unfinished(t, s, func(*reports.Report) {})
			makeNight(t, s, "2026-11-24-1", NightName)
		}, at, "2026-11-24-2", false, ""},
		"another matrix": {func(t *testing.T, s string) { unfinished(t, s, func(r *reports.Report) { r.Matrix.SHA256 = "other" }) }, at, "2026-11-24-2", false, "another matrix file"},
		"another kqual":  {func(t *testing.T, s string) { unfinished(t, s, func(r *reports.Report) { r.Tool.Version = "v0" }) }, at, "2026-11-24-2", false, "it is of kqual v0"},
		"too old":        {func(t *testing.T, s string) { unfinished(t, s, func(*reports.Report) {}) }, at.Add(49 * time.Hour), "2026-11-27-1", false, "it began 2.1 days ago"},
		"nothing known":  {func(t *testing.T, s string) { makeNight(t, s, "2026-11-24-1") }, at, "2026-11-24-1", false, ""},
		"unreadable":     {func(t *testing.T, s string) { makeNight(t, s, "2026-11-24-1", ResultsName) }, at, "2026-11-24-2", false, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			c.prepare(t, state)
			id, r, left, err := Choose(state, "same", tool, c.now)
			if err != nil || id != c.want || (r != nil) != c.goesOn || !strings.Contains(left, c.left) || c.left == "" && left != "" {
				t.Errorf("night %s, goes on %v, left %q, %v", id, r != nil, left, err)
			}
		})
	}
}

func TestPruneKeepsTheUnfinishedAndTheTagged(t *testing.T) {
	state := t.TempDir()
	makeNight(t, state, "2026-11-20-1", NightName)
	makeNight(t, state, "2026-11-21-1")
	for _, id := range []string{"2026-11-22-1", "2026-11-23-1", "2026-11-24-1"} {
		makeNight(t, state, id, NightName)
	}
	removed, err := Prune(state, 1, map[string]bool{"2026-11-22-1": true})
	if want := []string{"2026-11-20-1", "2026-11-23-1"}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %v, %v; want %v", removed, err, want)
	}
}

func TestWhatAKilledNightlyLeftIsTidiedAway(t *testing.T) {
	state := t.TempDir()
	makeNight(t, state, "2026-11-24-1", NightName, ResultsName, ".results.json.123", ".night.json.4", ".changes.txt.8", ".report.html.5", "console.log")
	makeNight(t, state, removedPrefix+"2026-11-20-1", ResultsName)
	for _, name := range []string{".index.html.6", ".history.db.checked.7", IndexName} {
		if err := os.WriteFile(filepath.Join(state, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Tidy(state); err != nil {
		t.Fatal(err)
	}
	var left []string
	err := filepath.WalkDir(state, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left = append(left, d.Name())
		}
		return err
	})
	slices.Sort(left)
	if want := []string{"console.log", "index.html", "night.json", "results.json"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %v, %v; want %v", left, err, want)
	}
	if _, err := os.Stat(Dir(state, removedPrefix+"2026-11-20-1")); err == nil {
		t.Error("half of a removed night is still there")
	}
	if err := Tidy(t.TempDir()); err != nil {
		t.Errorf("an empty state: %v", err)
	}
}

func TestAVersionMustTellOneBuildFromAnother(t *testing.T) {
	for version, want := range map[string]bool{"v1.2.3": true, "": false, "unknown": false, "1a2b3c-dirty": false, "v0.0.0-2026+dirty": false} {
		if Identified(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}

func TestTheIndexHasACalendarOfTheNights(t *testing.T) {
	ctx := context.Background()
	state := t.TempDir()
	db, err := history.Open(ctx, state)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if page, err := Index(ctx, db, state); err != nil || !bytes.Contains(page, []byte("There is no night yet")) {
		t.Errorf("an empty history: %v\n%s", err, page)
	}
	r, err := reports.Load("../../reports/testdata/results.json")
	if err != nil {
		t.Fatal(err)
	}
	r.Matrix.Name = "<script>alert(1)</script>"
	for i, day := range []string{"2026-10-30", "2026-11-01", "2026-11-02"} {
		r.Started, err = time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		r.Finished = r.Started.Add(time.Hour)
		id := day + "-1"
		if _, _, err := db.Import(ctx, r, history.Source{ID: id}); err != nil {
			t.Fatal(err)
		}
		if err := db.SetNight(ctx, id, "", []int{matrix.ExitMet, matrix.ExitUnmet, matrix.ExitNoAnswer}[i], "because", nil); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			makeNight(t, state, id, []string{"report.html", ChangesName}[:i]...)
		}
	}
	if err := WriteIndex(ctx, db, state); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(state, IndexName))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, want := range []string{
		"<caption>November 2026</caption>", "<caption>October 2026</caption>",
		// The first of November is a Sunday.
		`<tr><td class="" title=""></td><td class="" title=""></td><td class="" title=""></td><td class="" title=""></td><td class="" title=""></td><td class="" title=""></td><td class="unmet" title="2026-11-01-1: because"><a href="runs/2026-11-01-1/report.html">1</a></td></tr>`,
		`<td class="none" title="2026-11-02-1: because"><a href="runs/2026-11-02-1/report.html">2</a></td>`,
		`<td class="met" title="2026-10-30-1: because"><span>30</span></td>`, // its directory is gone
		`<a href="runs/2026-11-02-1/changes.txt">what changed</a>`,
		`<rect class="clean" x="16" y="0" width="7"`, "&lt;script&gt;alert(1)&lt;/script&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if strings.Contains(page, "runs/2026-11-01-1/changes.txt") {
		t.Error("a link to a file that is not there")
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "/cells") {
		t.Error("the file has a script, or a link that only a server has")
	}
}
