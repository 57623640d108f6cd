package matrix

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// CostPlan asks what unlink(2) costs on each kernel. Such numbers compare
// kernels of one run and gate nothing.
type CostPlan struct {
	Baseline string `json:"baseline"` // the kernel that ratios are to
	Groups   []int  `json:"groups"`   // how many watch the directory, ascending; 0 is unwatched
	Boots    int    `json:"boots"`    // of each kernel, in turns
}

// Defaults and bounds of a CostPlan.
const (
	defaultCostBoots = 6
	minCostBoots     = 2 // one ratio has no interval
	maxCostBoots     = 100
	maxCostGroups    = 256 // at 1 µs per group and delete a batch takes 0.1 s
)

var defaultCostGroups = []int{0, 1, 32}

// costBootTime is one boot that measures costs: 1.5 s until it has come up, and
// 0.6 s for 0, 1 and 32 groups (5.10, TCG).
const costBootTime = 3 * time.Second

// fileCosts is the costs: part of a matrix file.
type fileCosts struct {
	Baseline at[string] `yaml:"baseline" kqual:"required"`
	Groups   []at[int]  `yaml:"groups"`
	Boots    at[int]    `yaml:"boots"`
}

func (p *parser) costs(f *fileCosts) {
	if f == nil {
		return
	}
	c := &CostPlan{Baseline: f.Baseline.Value, Groups: defaultCostGroups, Boots: defaultCostBoots}
	var known []string
	for _, k := range p.spec.Kernels {
		known = append(known, k.Name)
	}
	if f.Baseline.Set && !slices.Contains(known, c.Baseline) {
		p.problem(f.Baseline.Line, "costs.baseline", "%s", unknown("kernel", c.Baseline, known))
	}
	if len(f.Groups) > 0 {
		c.Groups = nil
	}
	for i, g := range f.Groups {
		switch {
		case g.Value < 0 || g.Value > maxCostGroups:
			p.problem(g.Line, index("costs.groups", i), "is %d; write 0 to %d groups", g.Value, maxCostGroups)
		case i > 0 && g.Value <= f.Groups[i-1].Value:
			p.problem(g.Line, index("costs.groups", i), "is %d after %d; write them in ascending order", g.Value, f.Groups[i-1].Value)
		}
		c.Groups = append(c.Groups, g.Value)
	}
	if f.Boots.Set {
		if c.Boots = f.Boots.Value; c.Boots < minCostBoots || c.Boots > maxCostBoots {
			p.problem(f.Boots.Line, "costs.boots", "is %d; write %d to %d", c.Boots, minCostBoots, maxCostBoots)
		}
	}
	p.spec.Costs = c
}

// planCosts keeps the matrix's costs where their baseline is planned, and says
// why they are left out where it is not.
func (p *Plan) planCosts(c *CostPlan) {
	switch {
	case c == nil:
	case slices.ContainsFunc(p.Kernels, func(k KernelPlan) bool { return k.Kernel.Name == c.Baseline }):
		p.Costs = c
	default:
		p.NoCosts = fmt.Sprintf("no costs of unlink are measured: their baseline %s is not selected", c.Baseline)
	}
}

// CostBoot is one boot that measured what unlink(2) costs.
type CostBoot struct {
	Round   int           `json:"round"` // each boots every kernel once
	Accel   string        `json:"accel"`
	QEMU    string        `json:"qemu"`
	Total   time.Duration `json:"total"` // QEMU start to its end
	Samples []CostSample  `json:"samples,omitempty"`
	Error   *Failure      `json:"error,omitempty"` // why there is none
}

// CostSample is what deletes cost in one boot.
type CostSample struct {
	Groups  int     `json:"groups"` // that watched the directory
	Nanosec float64 `json:"ns"`     // per unlink(2) on tmpfs: the median of the batches
}

// A delete takes longer than a nanosecond and ends within a quarter of an hour:
// anything else was not measured.
const minNanosec, maxNanosec = 1, 1e12

// at is the sample with so many groups; 0 where there is none.
func (b CostBoot) at(groups int) float64 {
	for _, s := range b.Samples {
		if s.Groups == groups && s.Nanosec >= minNanosec && s.Nanosec <= maxNanosec {
			return s.Nanosec
		}
	}
	return 0
}

// CostTable is what the kernels of a run say about the cost of unlink(2), side
// by side.
type CostTable struct {
	Baseline   string    `json:"baseline"`
	Groups     []int     `json:"groups"`
	Confidence float64   `json:"confidence"` // of the intervals
	Accels     []string  `json:"accels"`     // sorted
	Rows       []CostRow `json:"rows"`       // in the order of the kernels
}

// CostRow is one kernel's part of a CostTable.
type CostRow struct {
	Kernel string   `json:"kernel"`
	Boots  int      `json:"boots"`           // that measured it
	Costs  []CostAt `json:"costs"`           // one for each of CostTable.Groups
	Patch  *Patch   `json:"patch,omitempty"` // on top of the base's; the last one where no base is named
	Error  *Failure `json:"error,omitempty"` // of the last boot that failed
}

// CostAt is the cost with so many groups.
type CostAt struct {
	Groups    int     `json:"groups"`
	PerSecond float64 `json:"per_second"` // deletes, the median of the boots; 0 where there is none
	// Ratio is PerSecond over the baseline's, below 1 where the kernel is slower;
	// nil where there is none, as for the baseline.
	Ratio *Ratio `json:"ratio,omitempty"`
}

// Ratio is the geometric mean of the ratios of each round, with its interval by
// Student's t on their logarithms.
type Ratio struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// Costs is what a run measured of the costs of unlink(2); nil where it did not.
func Costs(plan *CostPlan, runs []KernelRun, confidence float64) *CostTable {
	if plan == nil || !slices.ContainsFunc(runs, func(k KernelRun) bool { return len(k.Costs) > 0 }) {
		return nil
	}
	t := &CostTable{Baseline: plan.Baseline, Groups: plan.Groups, Confidence: confidence, Accels: []string{}, Rows: []CostRow{}}
	var baseline []CostBoot
	for _, k := range runs {
		if k.Kernel == plan.Baseline {
			baseline = k.Costs
		}
	}
	for _, k := range runs {
		if len(k.Costs) == 0 {
			continue
		}
		row := CostRow{Kernel: k.Kernel}
		row.Patch = topPatch(k.Provenance.Patches)
		for _, b := range k.Costs {
			if b.Error != nil {
				row.Error = b.Error
			} else {
				row.Boots++
			}
			if i, found := slices.BinarySearch(t.Accels, b.Accel); !found {
				t.Accels = slices.Insert(t.Accels, i, b.Accel)
			}
		}
		for _, groups := range plan.Groups {
			at := CostAt{Groups: groups}
			if own := samplesAt(k.Costs, groups); len(own) > 0 {
				at.PerSecond = 1e9 / median(own)
			}
			if k.Kernel != plan.Baseline {
				at.Ratio = ratioOf(pairs(baseline, k.Costs, groups), confidence)
			}
			row.Costs = append(row.Costs, at)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// topPatch is what goes on top of a kernel's base as one patch; without a base
// that is the last of its patches. It is nil where there is none.
func topPatch(patches []Patch) *Patch {
	first := slices.IndexFunc(patches, func(p Patch) bool { return !p.Base })
	switch {
	case first < 0:
		return nil
	case first == 0:
		return &patches[len(patches)-1]
	}
	top := patches[first]
	for _, p := range patches[first+1:] {
		top.Name += " " + p.Name
		top.Files, top.Added, top.Removed = top.Files+p.Files, top.Added+p.Added, top.Removed+p.Removed
	}
	return &top
}

func samplesAt(boots []CostBoot, groups int) []float64 {
	var out []float64
	for _, b := range boots {
		if ns := b.at(groups); ns > 0 {
			out = append(out, ns)
		}
	}
	return out
}

// pairs are the ratios of the rounds that both kernels have: how many times as
// fast as base the other one deletes.
func pairs(base, own []CostBoot, groups int) []float64 {
	var out []float64
	for _, o := range own {
		for _, b := range base {
			if b.Round == o.Round && b.at(groups) > 0 && o.at(groups) > 0 {
				out = append(out, b.at(groups)/o.at(groups))
				break
			}
		}
	}
	return out
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratioOf is nil for fewer than two rounds: they bound nothing.
func ratioOf(rounds []float64, confidence float64) *Ratio {
	if len(rounds) < minCostBoots {
		return nil
	}
	logs := make([]float64, len(rounds))
	for i, r := range rounds {
		logs[i] = math.Log(r)
	}
	mean, sd := stat.MeanStdDev(logs, nil)
	n := float64(len(logs))
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(1-(1-confidence)/2) * sd / math.Sqrt(n)
	r := Ratio{Value: math.Exp(mean), Lo: math.Exp(mean - half), Hi: math.Exp(mean + half)}
	if math.IsInf(r.Hi, 0) || math.IsNaN(r.Hi) { // no JSON
		return nil
	}
	return &r
}
