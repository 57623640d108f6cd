package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSONHasAValueALineDownToADepth(t *testing.T) {
	const compact = `{"a":[],"b":{},"t":"[{,:\"}]\\","c":[{"d":[1,{"e":2}]},{"f":"x,y"}]}` + "\n"
	const want = `{
  "a": [],
  "b": {},
  "t": "[{,:\"}]\\",
  "c": [
    {"d":[1,{"e":2}]},
    {"f":"x,y"}
  ]
}
`
	for size := range len(compact) { // of a write
		var got bytes.Buffer
		w := bufio.NewWriter(&got)
		l := &lineBreaker{w: w, depth: 2}
		for data := []byte(compact); len(data) > 0; {
			n, err := l.Write(data[:min(size+1, len(data))])
			if err != nil {
				t.Fatal(err)
			}
			data = data[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Fatalf("%d bytes at a time (-want +got):\n%s", size+1, diff)
		}
	}
}

func TestBrokenLinesAreTheSameJSON(t *testing.T) {
	r := Build(synthetic())
	var want, got bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		t.Fatal(err)
	}
	text := render(t, "json", r)
	if err := json.Compact(&got, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(want.String()), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cell := 0 // raw cells that have a line of their own
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(strings.TrimSpace(line), ","); strings.HasPrefix(line, `{"cell":`) && json.Valid([]byte(line)) {
			cell++
		}
	}
	if cell != len(r.Cells) {
		t.Errorf("%d raw cells have a line of their own, want %d", cell, len(r.Cells))
	}
}
