package matrix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Plan is what a run will do: the cells of every kernel, in the order in which
// they run and are shown (filesystem, then scenario, then watch).
type Plan struct {
	Kernels []KernelPlan // those with at least one cell, in the order of the matrix
	// NoEvent are selected cells that are not planned, because the watch's mask
	// has none of the scenario's deciding events.
	NoEvent []Cell
	// NoPlace are selected cells that are not planned, because the scenario
	// makes no sense on the filesystem.
	NoPlace []Cell
	// NoControl has one line per control of the matrix of which no cell is
	// planned. Such a run says less: nothing in it shows what the host can see.
	NoControl []string
	// Stray has one line per pattern of the selection that matches nothing in
	// the matrix: a typing error, most likely, that other patterns hide.
	Stray []string
	// Costs is the matrix's, nil where none are measured; NoCosts says why they
	// are left out.
	Costs   *CostPlan
	NoCosts string

	sampling Sampling
	expect   []Rule
	cat      Catalog
}

// KernelPlan is one kernel's share of a plan.
type KernelPlan struct {
	Kernel Kernel
	Index  int // position in the matrix
	Cells  []Cell
}

// Cells counts the planned cells of all kernels, controls included.
func (p *Plan) Cells() int {
	n := 0
	for _, k := range p.Kernels {
		n += len(k.Cells)
	}
	return n
}

// NewPlan orders the selected cells. Where a watch that is not plain is
// planned and no plain watch of its event source is, within the same kernel,
// filesystem and scenario, the plain watch is added before the others as a
// control: without it nothing could be said to hold. A selection that leaves
// no cell is an error.
func NewPlan(spec *Spec, cat Catalog, sel Selection) (*Plan, error) {
	p := &Plan{sampling: spec.Sampling, expect: spec.Expect, cat: cat, Stray: sel.stray(spec)}
	for i, k := range spec.Kernels {
		kp := KernelPlan{Kernel: k, Index: i}
		for _, fs := range spec.Filesystems {
			for _, sc := range spec.Scenarios {
				kp.Cells = append(kp.Cells, p.group(spec, sel, Cell{Kernel: k.Name, Filesystem: fs, Scenario: sc})...)
			}
		}
		if len(kp.Cells) > 0 {
			p.Kernels = append(p.Kernels, kp)
		}
	}
	if len(p.Kernels) == 0 {
		return nil, p.nothing()
	}
	p.planCosts(spec.Costs)
	p.NoControl = missingControls(spec.Controls, p.Kernels)
	return p, nil
}

// nothing says why a plan is empty.
func (p *Plan) nothing() error {
	switch {
	case len(p.NoEvent) > 0:
		c := p.NoEvent[0]
		return fmt.Errorf("no cell to run: %s has no event that tells of scenario %s; add one to its mask or choose another scenario",
			c.Watch.Name, c.Scenario)
	case len(p.NoPlace) > 0:
		c := p.NoPlace[0]
		return fmt.Errorf("no cell to run: scenario %s does not happen on %s, which has %s; add one of these to scenarios or choose another filesystem",
			c.Scenario, c.Filesystem, listed(p.cat.Filesystems[c.Filesystem].Scenarios))
	case len(p.Stray) > 0:
		return fmt.Errorf("the selection leaves no cell: %s", strings.Join(p.Stray, "; "))
	}
	return errors.New("the selection leaves no cell; remove a part of --only or --skip")
}

// group plans the watches of one kernel, filesystem and scenario.
func (p *Plan) group(spec *Spec, sel Selection, at Cell) []Cell {
	var cells []Cell
	hasPlain := map[string]bool{}
	var needPlain []string // event sources, in the order of the matrix
	for _, w := range spec.Watches {
		at.Watch = w
		if !sel.Selects(at) {
			continue
		}
		if !happensOn(p.cat, at.Scenario, at.Filesystem) {
			p.NoPlace = append(p.NoPlace, at)
			continue
		}
		if !tellsOf(p.cat, at.Scenario, w) {
			p.NoEvent = append(p.NoEvent, at)
			continue
		}
		cells = append(cells, at)
		if p.cat.IsPlain(w) {
			hasPlain[w.Source] = true
		} else if !slices.Contains(needPlain, w.Source) {
			needPlain = append(needPlain, w.Source)
		}
	}
	var controls []Cell
	for _, source := range needPlain {
		if hasPlain[source] {
			continue
		}
		if c, ok := control(spec, p.cat, source); ok && tellsOf(p.cat, at.Scenario, c) {
			at.Watch = c
			controls = append(controls, at)
		}
	}
	return append(controls, cells...)
}

// happensOn says whether the scenario makes sense on the filesystem.
func happensOn(cat Catalog, scenario, filesystem string) bool {
	only := cat.Filesystems[filesystem].Scenarios
	return only == nil || slices.Contains(only, scenario)
}

// tellsOf says whether w is told of the scenario's deciding event.
func tellsOf(cat Catalog, scenario string, w Watch) bool {
	mask := cat.maskBits(w.Source, w.Flags[maskGroup])
	return slices.ContainsFunc(cat.Scenarios[scenario].Events[w.Source], func(flags string) bool {
		needs := cat.maskBits(w.Source, strings.Split(flags, "|"))
		return mask&needs == needs
	})
}

// maskBits are the bits of an event source's mask: IN_ALL_EVENTS has those of
// IN_DELETE.
func (c Catalog) maskBits(source string, flags []string) (bits uint64) {
	for _, g := range c.EventSources[source].Groups {
		for _, f := range flags {
			if g.Key == maskGroup {
				bits |= g.Flags[f]
			}
		}
	}
	return bits
}

// maskGroup is the flag group that holds the events.
const maskGroup = "mask"

// control is the plain watch of an event source, marked as a control: the
// matrix's own one where it has one that the selection left out, else the
// event source's, under a name that no other watch of the matrix has.
func control(spec *Spec, cat Catalog, source string) (Watch, bool) {
	for _, w := range spec.Watches {
		if w.Source == source && cat.IsPlain(w) {
			w.Control = true
			return w, true
		}
	}
	plain := cat.EventSources[source].Plain
	if plain == nil {
		return Watch{}, false
	}
	w := plain()
	w.Source, w.Control = source, true
	if w.Check == "" {
		w.Check = CheckNone
	}
	base := w.Name
	taken := func(o Watch) bool { return o.Name == w.Name }
	for i := 1; slices.ContainsFunc(spec.Watches, taken); i++ {
		w.Name = base + " (control)"
		if i > 1 {
			w.Name = fmt.Sprintf("%s (control %d)", base, i)
		}
	}
	return w, true
}
