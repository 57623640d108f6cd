package reports

import (
	"time"
)

// Timing says where the time went.
type Timing struct {
	Wall  time.Duration `json:"wall"`  // from the first kernel to the last answer
	Fetch time.Duration `json:"fetch"` // getting kernels; goes on while others boot
	Boot  time.Duration `json:"boot"`  // sum over boots, QEMU's start to the guest's first record
	Cells time.Duration `json:"cells"` // sum over boots, from when the guest had its CPUs to its last record
	Setup time.Duration `json:"setup"` // the part of Cells that made and ordered groups
	Trial time.Duration `json:"trial"` // the part of Cells that was trials
	// Rest is what Wall has beyond Boot, Cells and Costs; it is negative where machines
	// ran side by side.
	Rest  time.Duration `json:"rest"`
	Ratio float64       `json:"ratio"` // (Wall - Costs) / (Boot + Cells); 0 where nothing booted
	// Costs is the sum over the boots that measured what unlink(2) costs.
	Costs time.Duration `json:"costs,omitempty"`
}

func timingOf(r *Report) Timing {
	t := Timing{Wall: r.Earlier + r.Finished.Sub(r.Started)}
	for _, k := range r.Kernels {
		t.Fetch += k.Fetch
		for _, b := range k.Boots {
			switch {
			case b.FirstRecord == 0: // it never came up
				t.Boot += b.Total
			case b.Cells == 0: // it never said done
				t.Boot += b.FirstRecord
				t.Cells += b.Total - b.FirstRecord - b.Held
			default:
				t.Boot += b.FirstRecord
				t.Cells += b.Cells
			}
		}
		for _, b := range k.Costs {
			t.Costs += b.Total
		}
		for _, c := range k.Cells {
			if c.Outcome != nil {
				t.Setup += c.Outcome.Setup
				t.Trial += c.Outcome.Elapsed
			}
		}
	}
	t.Rest = t.Wall - t.Costs - t.Boot - t.Cells
	if busy := t.Boot + t.Cells; busy > 0 {
		t.Ratio = float64(t.Wall-t.Costs) / float64(busy)
	}
	return t
}
