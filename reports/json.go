package reports

import (
	"bytes"
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
		Render: func(w io.Writer, r *Report, _ Options) error {
			data, err := encode(r)
			if err != nil {
				return err
			}
			_, err = w.Write(data)
			return err
		},
	})
}

func encode(r *Report) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return b.Bytes(), nil
}

// Save writes the report to path; a crash leaves the old file or the new one.
func Save(path string, r *Report) error {
	data, err := encode(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, data)
}

// Load reads a saved report and judges its raw part again. Another schema
// version is an error; fields that this kqual does not know are skipped.
func Load(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

func decode(data []byte) (*Report, error) {
	var head struct {
		Schema *int `json:"schema"`
		Tool   Tool `json:"tool"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, notResults(err)
	}
	switch {
	case head.Schema == nil:
		return nil, errors.New("not a saved report: it has no schema version; give a results.json of kqual run")
	case *head.Schema != Schema:
		made := "another kqual"
		if head.Tool.Version != "" {
			made = "kqual " + head.Tool.Version
		}
		return nil, fmt.Errorf("schema version %d, this kqual reads %d; render it with the version that wrote it (%s)", *head.Schema, Schema, made)
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, notResults(err)
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
	r.derive()
	return r, nil
}

func notResults(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	}
	return fmt.Errorf("not a saved report: %w", err)
}
