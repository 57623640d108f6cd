package history

import (
	"context"
	"testing"
	"time"
)

// A kernel that is another architecture tonight is not compared with what it
// was; results from before there was a second one are amd64.
func TestAnotherArchitectureIsAnotherMachine(t *testing.T) {
	ctx := context.Background()
	db := open1(t, t.TempDir())
	for i, arch := range []string{"", "amd64", "arm64"} {
		r := saved(t, "real.json")
		r.Started = r.Started.Add(time.Duration(i) * time.Hour)
		for k := range r.Kernels {
			r.Kernels[k].Machine.Arch = arch
		}
		add(t, db, r, "night"+arch)
	}
	for _, tt := range []struct {
		before, after string
		unlike        bool
	}{{"night", "nightamd64", false}, {"nightamd64", "nightarm64", true}} {
		d, err := db.Compare(ctx, tt.before, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		if d.Common == 0 || (d.Unlike == d.Common) != tt.unlike || (d.Unlike == 0) == tt.unlike {
			t.Errorf("%s → %s: %d of %d cells are unlike", tt.before, tt.after, d.Unlike, d.Common)
		}
	}
	points, err := db.Trend(ctx, saved(t, "real.json").Kernels[0].Cells[0].Cell, 0)
	if err != nil || len(points) != 3 || points[0].Conditions.Arch != "amd64" || points[2].Conditions.Arch != "arm64" {
		t.Errorf("trend %+v, %v", points, err)
	}
	list, err := db.Kernels(ctx, "nightarm64")
	if err != nil || list[0].Machine.Arch != "arm64" {
		t.Errorf("kernels %+v, %v", list, err)
	}
}
