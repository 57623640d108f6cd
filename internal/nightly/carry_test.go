package nightly

import (
	"context"
	"slices"
	"testing"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

// What an earlier night decided is good while everything that it rests on is
// the same, and for so long; a control is measured every night.
func TestWhatIsStillGood(t *testing.T) {
	const day = 24 * time.Hour
	type world struct {
		night  *reports.Report // that was
		now    Now
		maxAge time.Duration
	}
	for name, c := range map[string]struct {
		change func(*world)
		want   int // cells
	}{
		"the same":                     {func(*world) {}, 10}, // of 12, two are plain watches that were added as controls
		"another CPU model":            {func(w *world) { w.now.Host.CPUModel = "another" }, 0},
		"another number of CPUs":       {func(w *world) { w.now.Host.CPUs++ }, 0},
		"another kernel of the host":   {func(w *world) { w.now.Host.Kernel = "another" }, 0},
		"another version":              {func(w *world) { w.now.Tool.Version = "v9" }, 0},
		"a version that tells nothing": {func(w *world) { w.now.Tool.Version, w.night.Tool.Version = "dirty", "dirty" }, 0},
		"another detection limit":      {func(w *world) { w.now.Spec.Sampling.DetectionLimit /= 2 }, 0},
		"another pressure":             {func(w *world) { w.now.Spec.Sampling.Pressure = 8 }, 0},
		"another matrix":               {func(w *world) { w.now.Spec.Name = "another" }, 0},
		"--accel":                      {func(w *world) { w.now.Accel = "tcg" }, 0},
		"too old":                      {func(w *world) { w.maxAge = 12 * time.Hour }, 0},
		"just not too old":             {func(w *world) { w.maxAge = day }, 10},
		"interrupted":                  {func(w *world) { w.night.State = reports.StateInterrupted }, 0},
		"a kernel that failed":         {func(w *world) { w.night.Kernels[0].Error = &matrix.Failure{Reason: "panic"} }, 0},
		"an image without a name":      {func(w *world) { w.night.Kernels[0].Provenance.SHA256 = "" }, 0},
		"a control of the matrix": {func(w *world) {
			w.now.Spec.Controls = []matrix.Rule{{Watch: []string{"IN_DELETE"}, Filesystem: []string{"tmpfs"}}}
		}, 9},
		"an answer that is none": {func(w *world) {
			for _, c := range w.night.Kernels[0].Cells {
				if c.Cell.Filesystem == "ext4" && c.Outcome.Status == matrix.Measured {
					c.Outcome.Counts = matrix.Counts{Trials: 4, Contested: 1}
					c.Outcome.Blocks = []matrix.Block{{Counts: c.Outcome.Counts}}
				}
			}
		}, 5},
		"an answer that was carried over and is too old": {func(w *world) {
			w.maxAge = 3 * day
			w.night.Kernels[0].Cells[1].Evidence = &matrix.Evidence{Run: "before", Measured: w.night.Started.Add(-2*day - time.Hour)}
		}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			db, err := history.Open(ctx, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			r, err := reports.Load("../../reports/testdata/results.json")
			if err != nil {
				t.Fatal(err)
			}
			w := world{night: r, maxAge: 7 * day, now: Now{
				Spec: &matrix.Spec{Name: r.Matrix.Name, Sampling: r.Sampling}, Tool: r.Tool, Host: r.Host, At: r.Started.Add(day),
			}}
			c.change(&w)
			if _, _, err := db.Import(ctx, w.night, history.Source{ID: "night"}); err != nil {
				t.Fatal(err)
			}
			known, why, err := StillGood(ctx, db, w.now, w.maxAge)
			if err != nil {
				t.Fatal(err)
			}
			var cells []string
			for _, k := range known {
				for _, c := range k.Cells {
					cells = append(cells, c.Cell.ID())
					if c.Cell.Watch.Control {
						t.Errorf("a control is carried over: %s", c.Cell.ID())
					}
					if c.Evidence == nil || c.Evidence.Run != "night" || !c.Evidence.Measured.Equal(r.Started) {
						t.Errorf("%s: evidence %+v", c.Cell.ID(), c.Evidence)
					}
				}
			}
			slices.Sort(cells)
			if len(cells) != c.want {
				t.Errorf("%d cells are still good, want %d: %v; %s", len(cells), c.want, cells, why)
			}
			if said := w.now.Accel != "" || w.now.Tool.Version == "dirty"; said != (why != "") {
				t.Errorf("why: %q", why)
			}
		})
	}
}
