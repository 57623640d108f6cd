package reports

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"kqual/matrix"
)

// Schema is the version of the saved form of a Report. It changes when an old
// reader would misread a new file.
const Schema = 1

// State says how far a run came.
type State string

// The states of a Report. A run that was killed leaves StateRunning.
const (
	StateRunning     State = "running"
	StateInterrupted State = "interrupted"
	StateDone        State = "done"
)

// ExitInterrupted is the exit code of an interrupted run (128 + SIGINT).
const ExitInterrupted = 130

// Report is everything that a run learned, raw and derived. All durations are
// nanoseconds in JSON, all rates are in [0, 1].
type Report struct {
	Schema   int       `json:"schema"`
	Tool     Tool      `json:"tool"`
	State    State     `json:"state"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"` // or, while it runs, the time of the last save
	// Earlier is the time spent before the run was resumed, the last time.
	Earlier time.Duration `json:"earlier,omitempty"`
	Matrix  MatrixFile    `json:"matrix"`
	Host    Host          `json:"host"`

	Gate Gate `json:"gate"` // derived
	// ControlCheck says whether the host can be trusted; derived.
	ControlCheck matrix.ControlCheck `json:"control_check"`
	Findings     []matrix.Finding    `json:"findings"` // derived
	Cells        []Cell              `json:"cells"`    // derived; kernels by version, then as planned
	Missing      []string            `json:"missing"`  // derived: IDs of planned cells that nothing is known of
	Facts        []matrix.KernelFact `json:"facts"`    // derived: by version
	Accels       []string            `json:"accels"`   // derived: accelerators that kernels ran with, sorted
	QEMU         []string            `json:"qemu"`     // derived: QEMU versions, sorted
	Timing       Timing              `json:"timing"`   // derived
	// Costs compares what unlink(2) costs; derived, nil where it was not measured.
	Costs *matrix.CostTable `json:"costs,omitempty"`

	Sampling matrix.Sampling    `json:"sampling"`
	Watches  []Watch            `json:"watches"`  // those with a cell, in the order of the matrix
	Natural  []string           `json:"natural"`  // scenarios with a cell that are natural, sorted; see matrix.Scenario
	Controls []Rule             `json:"controls"` // see matrix.CheckControls
	Expect   []Rule             `json:"expect"`
	Waive    []matrix.Waiver    `json:"waive,omitempty"`
	CostPlan *matrix.CostPlan   `json:"cost_plan,omitempty"`
	Kernels  []matrix.KernelRun `json:"kernels"` // raw, by version
}

// Tool is the program that made a report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// MatrixFile names the matrix that was run.
type MatrixFile struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the file
}

// Host is the machine that ran the virtual machines.
type Host struct {
	Kernel   string `json:"kernel"` // uname -r
	CPUs     int    `json:"cpus"`
	CPUModel string `json:"cpu_model,omitempty"`
}

// Watch is a watch with what judging needs to know of it.
type Watch struct {
	matrix.Watch
	Plain      bool `json:"plain"`
	Recognises bool `json:"recognises"` // see matrix.Check
	// CheckDoc is matrix.Check.Doc, for advice.
	CheckDoc string `json:"check_doc,omitempty"`
}

// Rule is a matrix.Rule as it is saved.
type Rule struct {
	Kernel     []string             `json:"kernel,omitempty"`
	Filesystem []string             `json:"filesystem,omitempty"`
	Scenario   []string             `json:"scenario,omitempty"`
	Watch      []string             `json:"watch,omitempty"`
	Verdict    []matrix.VerdictKind `json:"verdict"`
	Why        string               `json:"why"`
	Line       int                  `json:"line"`
}

// Cell is one answer.
type Cell struct {
	Kernel     string           `json:"kernel"`
	Filesystem string           `json:"filesystem"`
	Scenario   string           `json:"scenario"`
	Watch      string           `json:"watch"`
	Control    bool             `json:"control,omitempty"`
	Verdict    matrix.Verdict   `json:"verdict"`
	Text       string           `json:"text"` // the verdict as tables show it
	Gate       matrix.GateState `json:"gate"`
	GateText   string           `json:"gate_text,omitempty"`
	Failure    *matrix.Failure  `json:"failure,omitempty"` // why there is no answer
	Numbers    *matrix.Numbers  `json:"numbers,omitempty"` // what the evidence is worth; nil where nothing was measured
}

// ID names the cell as matrix.Cell does.
func (c Cell) ID() string {
	return matrix.Cell{
		Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch},
	}.ID()
}

// Gate is what the run amounts to; see matrix.GateResult.
type Gate struct {
	Exit     int    `json:"exit"`
	Why      string `json:"why"`
	Met      int    `json:"met"`
	Unmet    int    `json:"unmet"`
	NoAnswer int    `json:"no_answer"`
	NoRule   int    `json:"no_rule"`
	Waived   int    `json:"waived,omitempty"`
}

// Input is what a report is made from.
type Input struct {
	Tool     Tool
	State    State
	Started  time.Time
	Finished time.Time
	Earlier  time.Duration // see Report
	Host     Host
	Spec     *matrix.Spec
	Catalog  matrix.Catalog
	// Runs has every planned kernel. Cells with neither outcome nor error are
	// missing, unless the kernel has an error that explains them.
	Runs []matrix.KernelRun
}

// Build makes the report of a run. It keeps in and its slices as they are.
func Build(in Input) *Report {
	r := &Report{
		Schema: Schema, Tool: in.Tool, State: in.State,
		// Without the monotonic reading, and as they will be read again.
		Started: in.Started.Round(0).UTC(), Finished: in.Finished.Round(0).UTC(),
		Earlier: in.Earlier,
		Matrix:  MatrixFile{Name: in.Spec.Name, Path: in.Spec.Path, SHA256: in.Spec.Hash},
		Host:    in.Host, Sampling: in.Spec.Sampling,
		Watches: watchesOf(in), Natural: naturalOf(in),
		Controls: rulesOf(in.Spec.Controls), Expect: rulesOf(in.Spec.Expect), Waive: in.Spec.Waive,
		CostPlan: in.Spec.Costs,
		Kernels:  slices.Clone(in.Runs),
	}
	r.derive()
	return r
}

// derive fills in everything that follows from the raw part.
func (r *Report) derive() {
	matrix.SortRuns(r.Kernels)
	answered := r.answered()
	cat := r.catalog()
	verdicts := make([][]matrix.Verdict, len(answered))
	for i, run := range answered {
		verdicts[i] = matrix.Judge(run, r.Sampling, cat)
	}
	controls := matrixRules(r.Controls)
	r.ControlCheck, verdicts = matrix.CheckControls(controls, answered, verdicts)
	gate := matrix.Gate(matrixRules(r.Expect), answered, verdicts).Waive(r.Waive, r.Started)
	r.Findings = append([]matrix.Finding{}, matrix.Find(answered, verdicts, r.Sampling, cat)...)
	r.Facts = append([]matrix.KernelFact{}, matrix.KernelFacts(answered, verdicts, cat)...)
	r.Cells = r.cells(answered, gate, matrix.CellNumbers(controls, answered, r.Sampling, cat))
	r.Gate = r.gate(gate)
	r.Costs = matrix.Costs(r.CostPlan, r.Kernels, r.Sampling.Confidence)
	r.Timing = timingOf(r)
	r.Accels, r.QEMU = []string{}, []string{}
	for _, k := range r.Kernels {
		for _, b := range k.Boots {
			r.Accels = insert(r.Accels, b.Accel)
			r.QEMU = insert(r.QEMU, b.QEMU)
		}
	}
}

// answered are the kernel runs without the cells that nothing is known of,
// which go to r.Missing, and without kernels that have no other.
func (r *Report) answered() []matrix.KernelRun {
	r.Missing = []string{}
	var out []matrix.KernelRun
	for _, run := range r.Kernels {
		planned := len(run.Cells)
		run.Cells = slices.Clone(run.Cells)
		run.Cells = slices.DeleteFunc(run.Cells, func(c matrix.CellRun) bool {
			missing := !c.Answered() && run.Error == nil && r.State != StateDone
			if missing {
				r.Missing = append(r.Missing, c.Cell.ID())
			}
			return missing
		})
		if len(run.Cells) > 0 || planned == 0 {
			out = append(out, run)
		}
	}
	return out
}

func (r *Report) cells(runs []matrix.KernelRun, gate matrix.GateResult, numbers [][]*matrix.Numbers) []Cell {
	cells := make([]Cell, 0, len(gate.Cells))
	for i, run := range runs {
		for k, c := range run.Cells {
			g := gate.Cells[len(cells)]
			cell := Cell{
				Kernel: c.Cell.Kernel, Filesystem: c.Cell.Filesystem, Scenario: c.Cell.Scenario,
				Watch: c.Cell.Watch.Name, Control: c.Cell.Watch.Control,
				Verdict: g.Verdict, Text: matrix.VerdictText(g.Verdict), Gate: g.State, GateText: g.Text,
				Numbers: numbers[i][k],
			}
			if e := c.Evidence; e != nil {
				cell.Verdict.Footnotes = append(slices.Clone(cell.Verdict.Footnotes), evidenceNote(*e, r.Started))
			}
			if g.Verdict.Kind == matrix.VerdictError {
				cell.Failure = cmp.Or(c.Error, failureOf(c, run))
			}
			cells = append(cells, cell)
		}
	}
	return cells
}

// evidenceNote says how old the evidence of a cell is that this run did not
// measure.
func evidenceNote(e matrix.Evidence, now time.Time) string {
	age := fmt.Sprintf("%.1f days", now.Sub(e.Measured).Hours()/24)
	if d := now.Sub(e.Measured); d < 48*time.Hour {
		age = d.Round(time.Minute).String()
	}
	return fmt.Sprintf("not measured again: run %s decided it %s before", e.Run, age)
}

// failureOf is the kernel's failure where the cell has no word of its own.
func failureOf(c matrix.CellRun, run matrix.KernelRun) *matrix.Failure {
	if c.Outcome == nil {
		return run.Error
	}
	return nil
}

func (r *Report) gate(g matrix.GateResult) Gate {
	out := Gate{Exit: g.Exit, Why: g.Why, Met: g.Met, Unmet: g.Unmet, NoAnswer: g.NoAnswer, NoRule: g.NoRule, Waived: g.Waived}
	all := len(r.Cells) + len(r.Missing)
	switch r.State {
	case StateDone:
		return out
	case StateInterrupted:
		out.Exit = ExitInterrupted
		out.Why = fmt.Sprintf("%d of %s finished before the interruption", len(r.Cells), plural(all, "cell"))
	default:
		out.Exit = matrix.ExitNoAnswer
		out.Why = fmt.Sprintf("%d of %s finished when this was saved, the run goes on or was killed", len(r.Cells), plural(all, "cell"))
	}
	if len(r.Cells) > 0 {
		out.Why += "; of these, " + g.Why
	}
	return out
}

// watchesOf lists the watches that have a cell: controls of kqual's own first,
// then as the matrix has them.
func watchesOf(in Input) []Watch {
	out := []Watch{}
	for _, run := range in.Runs {
		for _, c := range run.Cells {
			w := c.Cell.Watch
			i := slices.IndexFunc(out, func(o Watch) bool { return o.Name == w.Name })
			if i >= 0 {
				// One kernel's control may be another one's watch.
				out[i].Control = out[i].Control && w.Control
				continue
			}
			check := in.Catalog.Checks[w.Check]
			out = append(out, Watch{Watch: w, Recognises: check.Recognises, Plain: in.Catalog.IsPlain(w), CheckDoc: check.Doc})
		}
	}
	position := func(w Watch) int {
		return slices.IndexFunc(in.Spec.Watches, func(o matrix.Watch) bool { return o.Name == w.Name })
	}
	slices.SortStableFunc(out, func(a, b Watch) int { return cmp.Compare(position(a), position(b)) })
	return out
}

// naturalOf lists the natural scenarios that have a cell.
func naturalOf(in Input) []string {
	out := []string{}
	for _, run := range in.Runs {
		for _, c := range run.Cells {
			if in.Catalog.Scenarios[c.Cell.Scenario].Natural {
				out = insert(out, c.Cell.Scenario)
			}
		}
	}
	return out
}

// catalog is the part of the registries that judging needs, as it was when the
// run was made: a later kqual may know other flags and checks.
func (r *Report) catalog() matrix.Catalog {
	plain := map[string]bool{}
	cat := matrix.Catalog{
		EventSources: map[string]matrix.EventSource{}, Checks: map[string]matrix.Check{}, Scenarios: map[string]matrix.Scenario{},
	}
	for _, name := range r.Natural {
		cat.Scenarios[name] = matrix.Scenario{Name: name, Natural: true}
	}
	for _, w := range r.Watches {
		plain[w.Name] = w.Plain
		cat.Checks[w.Check] = matrix.Check{Name: w.Check, Recognises: w.Recognises, Doc: w.CheckDoc}
		cat.EventSources[w.Source] = matrix.EventSource{
			Name: w.Source, IsPlain: func(w matrix.Watch) bool { return plain[w.Name] },
		}
	}
	return cat
}

func rulesOf(rules []matrix.Rule) []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = Rule(r)
	}
	return out
}

func matrixRules(rules []Rule) []matrix.Rule {
	out := make([]matrix.Rule, len(rules))
	for i, e := range rules {
		out[i] = matrix.Rule(e)
	}
	return out
}

// insert adds s to a sorted set; "" is none.
func insert(set []string, s string) []string {
	i, found := slices.BinarySearch(set, s)
	if found || s == "" {
		return set
	}
	return slices.Insert(set, i, s)
}

// plural is "1 cell" or "3 cells".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
