package runner

import (
	"slices"

	"kqual/matrix"
	"kqual/runner/guest"
)

// Carry is what of an earlier run is still good: the cells that keep says yes
// to, with the boots that they rest on and the plain watches of those boots, to
// be given to Run as Config.Earlier. Plain watches that are not kept themselves
// go to Repeats: what was compared with them still is.
func Carry(old matrix.KernelRun, keep func(matrix.CellRun) bool) matrix.KernelRun {
	cat := matrix.Catalog{EventSources: guest.EventSources()}
	out := old
	out.Cells, out.Boots, out.Repeats, out.Error = nil, nil, nil, nil
	out.Costs = nil        // kernels are compared within one run
	index := map[int]int{} // boot in old → boot in out
	for _, c := range old.Cells {
		if c.Outcome == nil || c.Boot < 0 || c.Boot >= len(old.Boots) || !keep(c) {
			continue
		}
		if _, ok := index[c.Boot]; !ok {
			index[c.Boot] = len(out.Boots)
			out.Boots = append(out.Boots, old.Boots[c.Boot])
		}
		c.Boot = index[c.Boot]
		out.Cells = append(out.Cells, c)
	}
	kept := func(c matrix.Cell) bool {
		return slices.ContainsFunc(out.Cells, func(o matrix.CellRun) bool { return o.Cell.ID() == c.ID() })
	}
	for i, c := range slices.Concat(old.Cells, old.Repeats) {
		boot, ok := index[c.Boot]
		if !ok || c.Outcome == nil || !cat.IsPlain(c.Cell.Watch) || i < len(old.Cells) && kept(c.Cell) {
			continue
		}
		c.Boot = boot
		out.Repeats = append(out.Repeats, c)
	}
	return out
}
