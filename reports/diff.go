package reports

import (
	"fmt"
	"io"

	"kqual/matrix"
)

// diffAlpha is the chance that a comparison of two equal runs calls any rate
// changed.
const diffAlpha = 0.05

// Diff is what changed from one report to another.
type Diff struct {
	Old DiffSide `json:"old"`
	New DiffSide `json:"new"`
	matrix.Comparison
}

// DiffSide names a report.
type DiffSide struct {
	Name    string `json:"name"`
	Started string `json:"started"` // RFC 3339
	SHA256  string `json:"sha256"`  // of the matrix file
	State   State  `json:"state"`
	Cells   int    `json:"cells"` // with an answer
}

// Compare says what changed from before to after.
func Compare(before, after *Report) Diff {
	d := Diff{Old: before.side(), New: after.side(), Comparison: matrix.Compare(before.judged(), after.judged(), diffAlpha)}
	d.CompareProvenance(before.Kernels, after.Kernels)
	return d
}

func (r *Report) side() DiffSide {
	return DiffSide{
		Name: r.Matrix.Name, Started: r.Started.Format("2006-01-02T15:04:05Z07:00"), SHA256: r.Matrix.SHA256,
		State: r.State, Cells: len(r.Cells),
	}
}

func (r *Report) judged() []matrix.Judged {
	out := make([]matrix.Judged, len(r.Cells))
	under := r.conditions()
	for i, c := range r.Cells {
		out[i] = matrix.Judged{
			Cell:    matrix.Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch, Control: c.Control}},
			Verdict: c.Verdict, Under: under[c.ID()],
		}
	}
	return out
}

// conditions are what each cell was measured under.
func (r *Report) conditions() map[string]matrix.Conditions {
	out := map[string]matrix.Conditions{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			u := matrix.Conditions{Arch: k.Machine.Architecture(), VCPUs: k.Machine.VCPUs, Tool: r.Tool.Version, Pressure: r.Sampling.Pressure}
			if c.Outcome != nil && c.Boot >= 0 && c.Boot < len(k.Boots) {
				u.Accel, u.CPUModel = k.Boots[c.Boot].Accel, k.Boots[c.Boot].CPUModel
			}
			out[c.Cell.ID()] = u
		}
	}
	return out
}

// diffTitles are the headings of a rendered Diff.
var diffTitles = map[matrix.DiffKind]string{
	matrix.DiffWorse:      "Worse",
	matrix.DiffBetter:     "Better",
	matrix.DiffFlapping:   "Flapping",
	matrix.DiffRate:       "Another rate",
	matrix.DiffChanged:    "Another verdict",
	matrix.DiffUnlike:     "Not comparable",
	matrix.DiffGone:       "No longer there",
	matrix.DiffAdded:      "New",
	matrix.DiffProvenance: "Another kernel or machine",
}

// Render writes the comparison as text.
func (d Diff) Render(w io.Writer, o Options) error {
	if o.Width <= 0 {
		o.Width = DefaultWidth
	}
	t := &terminal{Options: o}
	for _, s := range []struct {
		what string
		side DiffSide
	}{{"old", d.Old}, {"new", d.New}} {
		line := fmt.Sprintf("%s, %s, %s", Printable(s.side.Name), s.side.Started, plural(s.side.Cells, "cell"))
		if s.side.State != StateDone {
			line += ", " + string(s.side.State)
		}
		t.WriteString(Fill(line, s.what+": ", o.Width))
	}
	if d.Old.SHA256 != d.New.SHA256 {
		t.line("The matrix files differ.")
	}
	for _, kind := range matrix.DiffKinds() {
		var items []string
		for _, x := range d.Differences {
			if x.Kind != kind {
				continue
			}
			text := x.Text
			if x.Cell != "" {
				text = x.Cell + ": " + text
			}
			items = append(items, text)
		}
		t.list(diffTitles[kind], items)
	}
	t.list("Still affected", d.StillAffected)
	t.list("Kernels that vanished", d.VanishedKernels)
	t.list("New kernels", d.NewKernels)
	t.line("")
	t.WriteString(Fill(d.Summary(), "", o.Width))
	_, err := w.Write(t.Bytes())
	return err
}

// Summary is the comparison in one line.
func (d Diff) Summary() string {
	n := map[matrix.DiffKind]int{}
	for _, x := range d.Differences {
		n[x.Kind]++
	}
	if d.Common == 0 {
		return "The two runs have no cell in common"
	}
	unlike := ""
	if d.Unlike > 0 {
		unlike = fmt.Sprintf("; %s measured under other conditions, of which no rate was compared", plural(d.Unlike, "cell"))
	}
	return fmt.Sprintf(
		"%s in common: %d worse, %d better, %d otherwise; %s tested, %d changed (exact test, at most %s false ones in all)",
		plural(d.Common, "cell"), n[matrix.DiffWorse], n[matrix.DiffBetter], n[matrix.DiffChanged],
		plural(d.Tested, "rate"), n[matrix.DiffRate], share(d.Alpha),
	) + unlike
}
