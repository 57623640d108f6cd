package runner

import (
	"testing"

	"kqual/matrix"
)

func TestOnlyTheSameKernelsOutcomesAreTakenOver(t *testing.T) {
	answered := func() matrix.KernelRun {
		kr := *halfway()
		kr.Provenance.SHA256 = "aa"
		kr.Cells[2].Error = &matrix.Failure{Reason: "lost channel"}
		return kr
	}
	for name, c := range map[string]struct {
		change func(now, old *matrix.KernelRun)
		want   int
	}{
		"the same":           {func(_, _ *matrix.KernelRun) {}, 1},
		"another image":      {func(now, _ *matrix.KernelRun) { now.Provenance.SHA256 = "bb" }, 0},
		"unknown image":      {func(now, old *matrix.KernelRun) { now.Provenance.SHA256, old.Provenance.SHA256 = "", "" }, 0},
		"another machine":    {func(now, _ *matrix.KernelRun) { now.Machine.VCPUs = 4 }, 0},
		"another kernel":     {func(_, old *matrix.KernelRun) { old.Kernel = "other" }, 0},
		"other flags, alike": {func(now, _ *matrix.KernelRun) { now.Cells[0].Cell.Watch.Flags = nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			old := answered()
			now := answered()
			now.Boots = nil
			for i := range now.Cells {
				now.Cells[i] = matrix.CellRun{Cell: now.Cells[i].Cell}
			}
			c.change(&now, &old)
			Adopt(&now, []matrix.KernelRun{old})
			taken := 0
			for _, cell := range now.Cells {
				if cell.Outcome != nil {
					taken++
				}
				if cell.Error != nil {
					t.Errorf("%s keeps its error", cell.Cell.ID())
				}
			}
			if taken != c.want || c.want > 0 && len(now.Boots) == 0 {
				t.Errorf("%d outcomes and %d boots taken over, want %d", taken, len(now.Boots), c.want)
			}
		})
	}
}

// A boot that a killed kqual left running keeps its place, and says what became
// of it.
func TestABootThatWasCutOffKeepsItsPlace(t *testing.T) {
	old := *halfway()
	old.Provenance.SHA256 = "aa"
	old.Boots = []matrix.Boot{{ConsoleLog: "k.console.log", End: "guest"}, {ConsoleLog: "k.2.console.log", End: matrix.BootRuns}}
	old.Cells[0].Boot = 1
	now := *halfway()
	now.Provenance.SHA256, now.Boots = "aa", nil
	now.Cells[0] = matrix.CellRun{Cell: now.Cells[0].Cell}
	Adopt(&now, []matrix.KernelRun{old})
	if len(now.Boots) != 2 || now.Boots[1].End != matrix.BootCut || now.Boots[1].Why == "" || now.Boots[0].End != "guest" || now.Cells[0].Boot != 1 {
		t.Errorf("boots %+v, cell of boot %d", now.Boots, now.Cells[0].Boot)
	}
	if old.Boots[1].End != matrix.BootRuns {
		t.Error("the earlier run was changed")
	}
}

// What was measured with another accelerator was measured in another machine.
func TestOnlyTheSameAcceleratorsOutcomesAreTakenOver(t *testing.T) {
	for accel, want := range map[string]int{AccelTCG: 1, AccelKVM: 0} {
		old := *halfway()
		old.Provenance.SHA256 = "aa"
		for i := range old.Boots {
			old.Boots[i].Accel = AccelTCG
		}
		now := old
		now.Boots, now.Cells = nil, nil
		for _, c := range old.Cells {
			now.Cells = append(now.Cells, matrix.CellRun{Cell: c.Cell})
		}
		r := &run{cfg: Config{Accel: accel, Earlier: []matrix.KernelRun{old}}}
		r.adopt(t.Context(), fetched{}, &now)
		taken := 0
		for _, c := range now.Cells {
			if c.Outcome != nil {
				taken++
			}
		}
		if taken != want {
			t.Errorf("under %s: %d outcomes taken over, want %d", accel, taken, want)
		}
	}
}
