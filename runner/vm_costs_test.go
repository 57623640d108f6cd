package runner

import (
	"context"
	"slices"
	"testing"

	"kqual/matrix"
)

const costsMatrix = `
version: 1
name: costs
kernels:
  - name: stock
    build: {source: &source {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny]}
  - name: affected
    build: {source: *source, config: [tiny], patches: [affected]}
  - name: gone
    file: {vmlinuz: /nonexistent}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
costs: {baseline: stock, groups: [0, 2, 64], boots: 3}
`

// TestVMCostsOfUnlinkAreMeasuredInTurns lets two kernels boot in turns; what 64
// groups cost shows on any host, and a run that is gone on with measures what is
// missing.
func TestVMCostsOfUnlinkAreMeasuredInTurns(t *testing.T) {
	needVM(t)
	cfg, _ := testRun(t, costsMatrix)
	var order []string
	cfg.OnEvent = func(ev Event) {
		if ev.Run != nil && ev.Cell == nil && len(ev.Run.Costs) > 0 {
			order = append(order, ev.Kernel)
		}
	}
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stock", "affected", "affected", "stock", "stock", "affected"}; !slices.Equal(order, want) {
		t.Errorf("booted %q, want %q", order, want)
	}
	table := matrix.Costs(cfg.Plan.Costs, runs, cfg.Sampling.Confidence)
	if len(table.Rows) != 2 || len(table.Accels) != 1 {
		t.Fatalf("%+v", table)
	}
	for _, row := range table.Rows {
		t.Logf("%s: %+v", row.Kernel, row)
		if row.Boots != 3 || row.Error != nil || len(row.Costs) != 3 {
			t.Fatalf("%s: %+v", row.Kernel, row)
		}
		if unwatched, many := row.Costs[0].PerSecond, row.Costs[2].PerSecond; unwatched < 1000 || many > 0.8*unwatched {
			t.Errorf("%s: %.0f deletes/s unwatched, %.0f with 64 groups", row.Kernel, unwatched, many)
		}
		for _, at := range row.Costs {
			if r := at.Ratio; (r == nil) != (row.Kernel == "stock") || r != nil && (r.Lo > r.Value || r.Hi < r.Value || r.Value < 0.2 || r.Value > 5) {
				t.Errorf("%s with %d groups: %+v", row.Kernel, at.Groups, r)
			}
		}
	}

	// A run that was interrupted in the second round goes on with all of it.
	order = nil
	cfg.Earlier = slices.Clone(runs)
	for i := range cfg.Earlier {
		kept := slices.Clone(cfg.Earlier[i].Costs)
		cfg.Earlier[i].Costs = slices.DeleteFunc(kept, func(b matrix.CostBoot) bool { return b.Round == 1 && cfg.Earlier[i].Kernel == "stock" })
	}
	again, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"affected", "stock"}; !slices.Equal(order[len(order)-2:], want) || len(again[0].Costs) != 3 || len(again[1].Costs) != 3 {
		t.Errorf("booted %q, costs %+v", order, again[0].Costs)
	}
}
