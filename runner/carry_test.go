package runner

import (
	"testing"

	"kqual/matrix"
)

func TestCarryKeepsWhatACellRestsOn(t *testing.T) {
	cell := func(watch, check string, boot int) matrix.CellRun {
		return matrix.CellRun{
			Cell: matrix.Cell{Kernel: "k", Filesystem: "tmpfs", Scenario: "unlink", Watch: matrix.Watch{
				Name: watch, Source: "inotify", Check: check, Flags: map[string][]string{"mask": {"IN_DELETE"}},
			}},
			Outcome: &matrix.Outcome{Status: matrix.Measured}, Boot: boot,
		}
	}
	plain, nlink, late := cell("IN_DELETE", "open", 1), cell("nlink", "nlink", 1), cell("getdents", "getdents", 2)
	lost := cell("lost", "nlink", 0)
	lost.Outcome = nil
	old := matrix.KernelRun{
		Kernel: "k", Provenance: matrix.Provenance{SHA256: "s"}, Cells: []matrix.CellRun{plain, nlink, late, lost},
		Boots:   []matrix.Boot{{End: "panic"}, {End: "first"}, {End: "second"}},
		Repeats: []matrix.CellRun{cell("IN_DELETE", "open", 2)}, Error: &matrix.Failure{Reason: "x"},
	}
	all := Carry(old, func(matrix.CellRun) bool { return true })
	if len(all.Cells) != 3 || len(all.Boots) != 2 || len(all.Repeats) != 1 || all.Repeats[0].Boot != 1 || all.Error != nil {
		t.Errorf("all: %d cells, %d boots, %+v", len(all.Cells), len(all.Boots), all.Repeats)
	}
	some := Carry(old, func(c matrix.CellRun) bool { return c.Cell.Watch.Name == "nlink" })
	if len(some.Cells) != 1 || some.Cells[0].Boot != 0 || len(some.Boots) != 1 || some.Boots[0].End != "first" {
		t.Fatalf("one: %+v, boots %+v", some.Cells, some.Boots)
	}
	if len(some.Repeats) != 1 || some.Repeats[0].Cell.Watch.Name != "IN_DELETE" || some.Repeats[0].Boot != 0 {
		t.Errorf("the plain watch beside it: %+v", some.Repeats)
	}
	if none := Carry(old, func(matrix.CellRun) bool { return false }); len(none.Cells)+len(none.Boots)+len(none.Repeats) != 0 {
		t.Errorf("none: %+v", none)
	}
	kr := matrix.KernelRun{Kernel: "k", Provenance: old.Provenance, Cells: []matrix.CellRun{{Cell: plain.Cell}, {Cell: nlink.Cell}}}
	Adopt(&kr, []matrix.KernelRun{some})
	if p := planBoot(&kr); len(p.cells) != 1 || p.cells[0].Watch.Name != "IN_DELETE" {
		t.Errorf("what is left to measure: %+v", p.cells)
	}
}
