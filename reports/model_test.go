package reports

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

func TestSavedReportRendersTheSameWithoutMatrix(t *testing.T) {
	for name, in := range map[string]Input{"done": synthetic(), "interrupted": interrupted()} {
		t.Run(name, func(t *testing.T) {
			want := Build(in)
			path := filepath.Join(t.TempDir(), "results.json")
			if err := Save(path, want); err != nil {
				t.Fatal(err)
			}
			got, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range Formats() {
				var a, b bytes.Buffer
				if err := f.Render(&a, want, Options{}); err != nil {
					t.Fatal(err)
				}
				if err := f.Render(&b, got, Options{}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(a.String(), b.String()); diff != "" {
					t.Errorf("%s differs after saving (-built +loaded):\n%s", f.Name, diff)
				}
			}
		})
	}
}

func TestLoadJudgesAgain(t *testing.T) {
	r := Build(synthetic())
	r.Cells, r.Findings, r.Gate = nil, nil, Gate{Why: "forged"}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := Save(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := Build(synthetic()); got.Gate != want.Gate || len(got.Cells) != len(want.Cells) {
		t.Errorf("loaded gate %+v with %d cells, want %+v with %d", got.Gate, len(got.Cells), want.Gate, len(want.Cells))
	}
}

func TestBuildLeavesItsInputAlone(t *testing.T) {
	for _, make := range []func() Input{synthetic, interrupted} {
		in := make()
		Build(in)
		if diff := cmp.Diff(make().Runs, in.Runs); diff != "" {
			t.Errorf("Build changed the runs:\n%s", diff)
		}
	}
}

func TestKernelsComeByVersion(t *testing.T) {
	var got []string
	for _, k := range Build(synthetic()).Kernels {
		got = append(got, k.Kernel)
	}
	want := []string{"debian-11", "v5.10-affected", "debian-12", "debian-13", "v6.18-early", hostileKernel}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMissingCellsAreNoErrors(t *testing.T) {
	r := Build(interrupted())
	if r.Gate.Exit != ExitInterrupted {
		t.Errorf("exit %d, want %d", r.Gate.Exit, ExitInterrupted)
	}
	if len(r.Missing) != 56 || len(r.Cells) != 16 {
		t.Errorf("%d missing and %d answered, want 56 and 16", len(r.Missing), len(r.Cells))
	}
	for _, c := range r.Cells {
		if c.Verdict.Kind == matrix.VerdictError {
			t.Errorf("%s is an error: %s", c.ID(), c.Verdict.Reason)
		}
	}
	in := interrupted()
	in.State = StateDone // a runner that is done and has no answer owes one
	if r := Build(in); len(r.Missing) != 0 || r.Gate.Exit == 0 {
		t.Errorf("done: %d missing, exit %d; want none, and not 0", len(r.Missing), r.Gate.Exit)
	}
	in.State = StateRunning // what a killed run leaves
	if r := Build(in); len(r.Missing) != 56 || r.Gate.Exit != matrix.ExitNoAnswer {
		t.Errorf("running: %d missing, exit %d; want 56, %d", len(r.Missing), r.Gate.Exit, matrix.ExitNoAnswer)
	}
}

func TestTimingCountsEveryBoot(t *testing.T) {
	in := synthetic()
	in.Runs = in.Runs[:1]
	run := &in.Runs[0]
	s := time.Second
	run.Fetch = 4 * s
	run.Boots = []matrix.Boot{
		{Total: 3 * s},                                    // never came up
		{FirstRecord: 1 * s, Total: 5 * s},                // died after 4 s of cells
		{FirstRecord: 2 * s, Cells: 7 * s, Total: 10 * s}, // done; 1 s to power off
	}
	in.Finished = in.Started.Add(34 * s)
	got := Build(in).Timing
	if got.Boot != 6*s || got.Cells != 11*s || got.Rest != 17*s || got.Fetch != 4*s || got.Ratio != 2 {
		t.Errorf("got %+v; want boot 6 s, cells 11 s, rest 17 s, fetch 4 s, ratio 2", got)
	}
}

func TestReportOfNothing(t *testing.T) {
	in := synthetic()
	in.Runs = nil
	in.State = StateInterrupted
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := f.Render(&b, Build(in), Options{}); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if b.Len() == 0 {
			t.Errorf("%s says nothing", f.Name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	good, err := Encode(Build(synthetic()))
	if err != nil {
		t.Fatal(err)
	}
	change := func(key string, value any) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		if value == nil {
			delete(m, key)
		} else {
			m[key] = value
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"another schema", change("schema", 7), "schema version 7, this kqual reads 1; render it with the version that wrote it (kqual v0.1.0-test)"},
		{"no schema", change("schema", nil), "not a saved report: it has no schema version"},
		{"an empty file", nil, "not JSON at byte 0"},
		{"half a file", good[:len(good)/2], "not JSON at byte"},
		{"a list", []byte("[]"), "not a saved report"},
		{"an unknown state", change("state", "sleeping"), `unknown state "sleeping"`},
		{"no sampling", change("sampling", nil), "sampling is out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "results.json")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %s: … %s", err, path, c.want)
			}
		})
	}
	if _, err := Load("/nonexistent/results.json"); !os.IsNotExist(err) {
		t.Errorf("a missing file gave %v", err)
	}
}

func TestUnknownFormatNamesTheKnown(t *testing.T) {
	_, err := LookupFormat("markdwn")
	if err == nil || !strings.Contains(err.Error(), `did you mean "markdown"?`) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, in := range []Input{synthetic(), interrupted()} {
		data, err := Encode(Build(in))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"schema":1,"state":"done","sampling":{"detection_limit":0.5,"confidence":0.9},"kernels":[{"cells":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		for _, format := range Formats() {
			var b bytes.Buffer
			if err := format.Render(&b, r, Options{Width: 80}); err != nil {
				t.Errorf("%s: %v", format.Name, err)
			}
			if format.Name != "json" && !format.Binary && bytes.ContainsAny(b.Bytes(), "\x1b\x00\r") {
				t.Errorf("%s lets control characters through", format.Name)
			}
		}
	})
}
