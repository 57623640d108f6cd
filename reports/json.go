package reports

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"kqual/internal/atomicfile"
)

func init() {
	register(Format{
		Name: "json", Doc: "everything, raw and derived; kqual report reads it",
		Render: func(w io.Writer, r *Report, _ Options) error { return encodeTo(w, r) },
	})
}

// Encode is the saved form of the report; Decode of it and Encode again give the
// same bytes.
func Encode(r *Report) ([]byte, error) {
	var b bytes.Buffer
	err := encodeTo(&b, r)
	return b.Bytes(), err
}

// jsonDepth is down to where every value has a line of its own. That gives a
// cell's raw numbers one line, which grep and diff can work with; breaking what
// is inside of them would make the file twice as large, and reading it as slow.
const jsonDepth = 4

// encodeTo keeps no copy of its own: a large report takes tens of megabytes.
func encodeTo(w io.Writer, r *Report) error {
	lines := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(&lineBreaker{w: lines, depth: jsonDepth})
	enc.SetEscapeHTML(false)
	if err := cmp.Or(enc.Encode(r), lines.Flush()); err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return nil
}

// Save writes the report to path; a crash leaves the old file or the new one.
func Save(path string, r *Report) error {
	return atomicfile.WriteTo(path, func(w io.Writer) error { return encodeTo(w, r) })
}

// Load reads a saved report and judges its raw part again. Another schema
// version is an error; fields that this kqual does not know are skipped.
func Load(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// savedReport is the saved form of a report without what derive makes anew.
type savedReport struct {
	*Report
	Gate         skipped `json:"gate"`
	ControlCheck skipped `json:"control_check"`
	Findings     skipped `json:"findings"`
	Cells        skipped `json:"cells"`
	Missing      skipped `json:"missing"`
	Facts        skipped `json:"facts"`
	Accels       skipped `json:"accels"`
	QEMU         skipped `json:"qemu"`
	Timing       skipped `json:"timing"`
}

// skipped is any JSON value that nobody needs.
type skipped struct{}

// UnmarshalJSON leaves the value alone.
func (*skipped) UnmarshalJSON([]byte) error { return nil }

// Decode reads the saved form of a report and judges its raw part again, as Load
// does.
func Decode(data []byte) (*Report, error) {
	r := &Report{}
	if err := json.Unmarshal(data, &savedReport{Report: r}); err != nil || r.Schema != Schema {
		return nil, refuse(data, err)
	}
	switch r.State {
	case StateDone, StateInterrupted, StateRunning:
	default:
		return nil, fmt.Errorf("unknown state %q", r.State)
	}
	if s := r.Sampling; !(s.DetectionLimit > 0 && s.DetectionLimit < 1 && s.Confidence > 0.5 && s.Confidence < 1) {
		return nil, fmt.Errorf("sampling is out of range: detection limit %g, confidence %g", s.DetectionLimit, s.Confidence)
	}
	for _, c := range matrixRules(r.Controls) {
		if !c.CanControl() {
			return nil, fmt.Errorf("a control must have %q; it must be affected or clean", c.Verdict)
		}
	}
	if err := r.consistent(); err != nil {
		return nil, err
	}
	r.derive()
	return r, nil
}

// refuse says why data is no report of this schema version; err is what
// decoding it as one gave, if anything.
func refuse(data []byte, err error) error {
	var head struct {
		Schema *int `json:"schema"`
		Tool   Tool `json:"tool"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return notResults(err)
	}
	switch {
	case head.Schema == nil:
		return errors.New("not a saved report: it has no schema version; give a results.json of kqual run")
	case *head.Schema != Schema:
		made := "another kqual"
		if head.Tool.Version != "" {
			made = "kqual " + head.Tool.Version
		}
		return fmt.Errorf("schema version %d, this kqual reads %d; render it with the version that wrote it (%s)", *head.Schema, Schema, made)
	}
	return notResults(err)
}

// consistent says what formats rely on: that cells are of the kernel that they
// stand under, and that their watches are listed.
func (r *Report) consistent() error {
	listed := map[string]bool{}
	for _, w := range r.Watches {
		listed[w.Name] = true
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			switch {
			case c.Cell.Kernel != k.Kernel:
				return fmt.Errorf("not a saved report: a cell of kernel %q stands under %q", c.Cell.Kernel, k.Kernel)
			case !listed[c.Cell.Watch.Name]:
				return fmt.Errorf("not a saved report: watch %q of cell %q is not listed", c.Cell.Watch.Name, c.Cell.ID())
			}
		}
	}
	return nil
}

func notResults(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	}
	return fmt.Errorf("not a saved report: %w", err)
}
