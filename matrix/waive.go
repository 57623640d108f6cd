package matrix

import (
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Waiver lets cells miss their expectation for a while: somebody knows, and
// answers for it. An empty pattern list matches everything.
type Waiver struct {
	Name       string    `json:"name"`
	Kernel     []string  `json:"kernel,omitempty"`
	Filesystem []string  `json:"filesystem,omitempty"`
	Scenario   []string  `json:"scenario,omitempty"`
	Watch      []string  `json:"watch,omitempty"`
	Owner      string    `json:"owner"`
	Reason     string    `json:"reason"`
	Expires    time.Time `json:"expires"` // the last day, UTC
	Line       int       `json:"line"`    // in the matrix file
}

// Covers says whether the waiver is about the cell.
func (w Waiver) Covers(c Cell) bool {
	return Rule{Kernel: w.Kernel, Filesystem: w.Filesystem, Scenario: w.Scenario, Watch: w.Watch}.Matches(c)
}

// Expired says whether the waiver's last day is over at t.
func (w Waiver) Expired(t time.Time) bool { return !t.Before(w.Expires.AddDate(0, 0, 1)) }

func (w Waiver) String() string {
	return fmt.Sprintf("waiver %s of %s, until %s: %s", w.Name, w.Owner, w.Expires.Format(time.DateOnly), w.Reason)
}

// Waive applies the waivers to what Gate found. A cell that is unmet or without
// an answer and that a waiver in force covers is waived. An expired waiver
// waives nothing and fails the gate by its name, whether or not a cell needs
// it: somebody has to renew or remove it. at is when the run began.
func (g GateResult) Waive(waivers []Waiver, at time.Time) GateResult {
	if len(waivers) == 0 {
		return g
	}
	cells := make([]CellGate, len(g.Cells))
	for i, c := range g.Cells {
		if c.State == GateUnmet || c.State == GateNoAnswer {
			for _, w := range waivers {
				if w.Covers(c.Cell) && !w.Expired(at) {
					c.State = GateWaived
					c.Text += " (" + w.String() + ")"
					break
				}
			}
		}
		cells[i] = c
	}
	out := resultOf(cells, g.silent)
	var expired []string
	for _, w := range waivers {
		if w.Expired(at) {
			expired = append(expired, fmt.Sprintf("%s of %s expired on %s", w.Name, w.Owner, w.Expires.Format(time.DateOnly)))
		}
	}
	if len(expired) > 0 {
		why := "waiver " + strings.Join(expired, ", ")
		if out.Exit == ExitMet {
			out.Why = why
		} else {
			out.Why = why + "; " + out.Why
		}
		out.Exit = ExitUnmet
	}
	return out
}

// date is a day written as 2027-01-31.
type date time.Time

func (*date) want() string { return "a day such as 2027-01-31" }

func (d *date) DecodeStrict(node *yaml.Node, path string) Problems {
	if isText(node) {
		if t, err := time.Parse(time.DateOnly, node.Value); err == nil {
			*d = date(t)
			return nil
		}
	}
	return wrongType(node, path, d.want())
}

type (
	fileWaiverKeys struct {
		Name       at[string] `yaml:"name" kqual:"required"`
		Kernel     at[texts]  `yaml:"kernel"`
		Filesystem at[texts]  `yaml:"filesystem"`
		Scenario   at[texts]  `yaml:"scenario"`
		Watch      at[texts]  `yaml:"watch"`
		Owner      at[string] `yaml:"owner" kqual:"required"`
		Reason     at[string] `yaml:"reason" kqual:"required"`
		Expires    at[date]   `yaml:"expires" kqual:"required"`
	}
	fileWaiver struct {
		fileWaiverKeys
		line int
	}
)

// DecodeStrict keeps the waiver's line.
func (w *fileWaiver) DecodeStrict(node *yaml.Node, path string) Problems {
	w.line = node.Line
	return DecodeStrict(node, path, &w.fileWaiverKeys)
}

func (*fileWaiver) want() string { return wantOf(&fileWaiverKeys{}) }

// waivers checks the waivers against the matrix. One that has expired is no
// mistake of the file: the gate names it.
func (p *parser) waivers(list []fileWaiver) {
	var kernels []string
	for _, k := range p.spec.Kernels {
		kernels = append(kernels, k.Name)
	}
	seen := names{kind: "waiver"}
	for i, f := range list {
		path := index("waive", i)
		if f.Name.Set {
			p.name(f.Name.Line, path+".name", f.Name.Value)
			p.unique(&seen, f.Name.Value, f.Name.Line, path+".name")
		}
		p.patterns("kernel", path+".kernel", f.Kernel, kernels)
		p.patterns("filesystem", path+".filesystem", f.Filesystem, p.spec.Filesystems)
		p.patterns("scenario", path+".scenario", f.Scenario, p.spec.Scenarios)
		p.patterns("watch", path+".watch", f.Watch, watchNames(p.spec, p.cat))
		p.spec.Waive = append(p.spec.Waive, Waiver{
			Name: f.Name.Value, Kernel: f.Kernel.Value, Filesystem: f.Filesystem.Value, Scenario: f.Scenario.Value,
			Watch: f.Watch.Value, Owner: f.Owner.Value, Reason: f.Reason.Value, Expires: time.Time(f.Expires.Value), Line: f.line,
		})
	}
}
