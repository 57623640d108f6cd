package runner

import (
	"reflect"

	"kqual/matrix"
)

// Adopt takes over what an earlier run measured of the same kernel in the same
// machine: outcomes, with the boots and witnesses they rest on. Cells without
// an outcome are measured again, errors included.
func Adopt(kr *matrix.KernelRun, earlier []matrix.KernelRun) {
	for _, old := range earlier {
		if !sameKernel(old, *kr) {
			continue
		}
		known := map[string]matrix.CellRun{}
		for _, c := range old.Cells {
			if c.Outcome != nil {
				known[c.Cell.ID()] = c
			}
		}
		for i, c := range kr.Cells {
			if k, ok := known[c.Cell.ID()]; ok && reflect.DeepEqual(k.Cell, c.Cell) {
				kr.Cells[i] = k
			}
		}
		kr.Boots, kr.Witnesses, kr.Repeats, kr.Costs = matrix.CutOff(old.Boots), old.Witnesses, old.Repeats, old.Costs
	}
}

// sameKernel says whether two runs are of the same image in the same machine.
func sameKernel(a, b matrix.KernelRun) bool {
	return a.Kernel == b.Kernel && a.Provenance.SHA256 != "" && a.Provenance.SHA256 == b.Provenance.SHA256 && a.Machine == b.Machine
}
