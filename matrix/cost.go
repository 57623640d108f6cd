package matrix

import "time"

// What a run costs. Measured with QEMU 7.2, TCG, 2 vCPUs on a 2-core machine:
// an estimate for plan, not a promise.
const (
	costBoot = 2 * time.Second // boot to power-off of Debian cloud kernels: 1.1 s (5.10, PVH) to 2.9 s (7.3, defaults)
	// costBootUpper is a boot on a loaded host, with one retry.
	costBootUpper = 20 * time.Second
	// costCell is a clean cell in memory that collects costNeeded decisive
	// trials: 2,000 deletes with 64 groups take 230 ms, and groups must be made
	// and ordered first.
	costCell = time.Second
	// costDiskCell is the same on a filesystem with an image of its own; not
	// measured, twice costCell.
	costDiskCell = 2 * time.Second
	costNeeded   = 2995 // decisive trials: Needed(0.001, 0.95)
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
	Source        string // what getting the kernel takes, in the source's words; "" where it does not say
}

// Cost estimates every kernel's boots, cells and time. Likely is what a run
// mostly takes under TCG; Upper is when every cell uses up its max_time.
func (p *Plan) Cost() Cost {
	var total Cost
	scale := float64(Needed(p.sampling.DetectionLimit, p.sampling.Confidence)) / costNeeded
	for _, k := range p.Kernels {
		c := KernelCost{Kernel: k.Kernel.Name, Boots: 1, Cells: len(k.Cells), Likely: costBoot, Upper: costBootUpper}
		for _, cell := range k.Cells {
			likely := costCell
			if len(p.cat.Filesystems[cell.Filesystem].Tools) > 0 {
				likely = costDiskCell
			}
			likely = min(time.Duration(float64(likely)*scale), p.sampling.MaxTime)
			c.Likely += likely
			c.Upper += p.sampling.MaxTime + costSetup
		}
		if say := p.cat.KernelSources[k.Kernel.Source].Cost; say != nil {
			c.Source = say(k.Kernel.Config)
		}
		total.Kernels = append(total.Kernels, c)
		total.Boots += c.Boots
		total.Cells += c.Cells
		total.Likely += c.Likely
		total.Upper += c.Upper
	}
	return total
}
