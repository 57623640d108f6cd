package matrix

import (
	"slices"
	"time"
)

// What a run costs. Measured with QEMU 7.2, TCG, 2 vCPUs on a 2-core machine:
// an estimate for plan, not a promise.
const (
	costBoot = 2 * time.Second // boot to power-off of Debian cloud kernels, two side by side: 1.3 s (5.10) to 2.5 s (7.3)
	// costBootUpper is a boot on a loaded host, with one retry.
	costBootUpper = 20 * time.Second
	// costCell is a cell in memory that collects costNeeded decisive trials and
	// finds nothing: 0.3 to 0.4 s on a 5.10 build, 0.5 to 1 s on Debian's 5.10 to 7.3.
	costCell = 700 * time.Millisecond
	// costDiskCell is the same on a filesystem with an image of its own: 0.6 s and
	// 0.8 to 1.2 s.
	costDiskCell = time.Second
	costNeeded   = 3280 // decisive trials: Needed(0.001, 0.95)
	// costAffectedCell is a cell that stops at its 128th decisive trial: 30 ms,
	// and the groups must be made and ordered first.
	costAffectedCell = 100 * time.Millisecond
	// costRefusedCell is a cell that the kernel refuses.
	costRefusedCell = 10 * time.Millisecond
	// costNaturalCell is NaturalTrials without extra groups, at 0.1 ms each.
	costNaturalCell = 2 * time.Second
	// costSetup is the upper end of what a cell spends outside its trials.
	costSetup = 5 * time.Second
)

// Cost is an estimate of what a plan takes, kernels one after the other.
type Cost struct {
	Kernels       []KernelCost
	Boots, Cells  int
	Likely, Upper time.Duration // of the virtual machines, without getting the kernels
}

// KernelCost is one kernel's part of a Cost.
type KernelCost struct {
	Kernel        string
	Boots, Cells  int
	Likely, Upper time.Duration
	Boot          time.Duration // the part of Likely until the guest can race
	BootUpper     time.Duration // the same of Upper
	Source        string        // what getting the kernel takes, in the source's words; "" where it does not say
}

// likely is what one cell mostly takes: what its expectation says decides,
// since a cell that is affected or refused is through at once. scale is how
// much more a zero needs than costNeeded.
func (p *Plan) likely(c Cell, scale float64) time.Duration {
	if i := slices.IndexFunc(p.expect, func(r Rule) bool { return r.Matches(c) }); i >= 0 {
		switch p.expect[i].Verdict[0] {
		case VerdictAffected:
			return costAffectedCell
		case VerdictUnsupported:
			return costRefusedCell
		}
	}
	likely := costCell
	switch {
	case p.cat.Scenarios[c.Scenario].Natural:
		return costNaturalCell
	case len(p.cat.Filesystems[c.Filesystem].Tools) > 0:
		likely = costDiskCell
	}
	return time.Duration(float64(likely) * scale)
}

// Cost estimates every kernel's boots, cells and time. Likely is what a run
// mostly takes under TCG; Upper is when every cell uses up its max_time.
func (p *Plan) Cost() Cost {
	var total Cost
	scale := float64(Needed(p.sampling.DetectionLimit, p.sampling.Confidence)) / costNeeded
	for _, k := range p.Kernels {
		c := KernelCost{Kernel: k.Kernel.Name, Boots: 1, Cells: len(k.Cells), Likely: costBoot, Upper: costBootUpper, Boot: costBoot, BootUpper: costBootUpper}
		for _, cell := range k.Cells {
			c.Likely += min(p.likely(cell, scale), p.sampling.MaxTime)
			c.Upper += p.sampling.MaxTime + costSetup
		}
		if say := p.cat.KernelSources[k.Kernel.Source].Cost; say != nil {
			c.Source = say(k.Kernel.Config)
		}
		if p.Costs != nil {
			c.Boots += p.Costs.Boots
			c.Likely += time.Duration(p.Costs.Boots) * costBootTime
			c.Upper += time.Duration(p.Costs.Boots) * costBootUpper
		}
		total.Kernels = append(total.Kernels, c)
		total.Boots += c.Boots
		total.Cells += c.Cells
		total.Likely += c.Likely
		total.Upper += c.Upper
	}
	return total
}
