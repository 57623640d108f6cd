package reports

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/joshdk/go-junit"

	"kqual/matrix"
)

// What another program reads from the junit format is what the report says:
// every cell once, with its state, message and time.
func TestAJUnitReaderSeesEveryCell(t *testing.T) {
	saved, err := Load(filepath.Join("testdata", "real.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*Report{
		"synthetic": Build(synthetic()), "interrupted": Build(interrupted()), "hostile": Build(hostile()), "real": saved,
	} {
		t.Run(name, func(t *testing.T) {
			suites, err := junit.Ingest([]byte(render(t, "junit", r)))
			if err != nil {
				t.Fatal(err)
			}
			if len(suites) != len(r.Kernels) {
				t.Fatalf("%d suites for %d kernels", len(suites), len(r.Kernels))
			}
			got := map[string]junit.Test{}
			for i, s := range suites {
				if want := Printable(r.Kernels[i].Kernel); s.Name != want {
					t.Errorf("suite %q, want %q", s.Name, want)
				}
				if want := Printable(release(r.Kernels[i])); s.Properties["release"] != want {
					t.Errorf("suite %q has release %q, want %q", s.Name, s.Properties["release"], want)
				}
				for _, c := range s.Tests {
					got[c.Classname+" "+c.Name] = c
				}
			}
			want := map[string]junit.Status{}
			for _, e := range r.evidence() {
				id := junitClass(e.Kernel, e.Filesystem, e.Scenario) + " " + Printable(e.Watch)
				want[id] = map[matrix.GateState]junit.Status{
					matrix.GateUnmet: junit.StatusFailed, matrix.GateNoAnswer: junit.StatusError, matrix.GateWaived: junit.StatusSkipped,
				}[e.Gate]
				if want[id] == "" {
					want[id] = junit.StatusPassed
				}
				c := got[id]
				if c.Message != "" && c.Message != Printable(e.GateText) {
					t.Errorf("%s: message %q, want %q", id, c.Message, Printable(e.GateText))
				}
				if !strings.HasPrefix(c.SystemOut, Printable(e.Text)+"\n") || !strings.Contains(c.SystemOut, "kqual run ") {
					t.Errorf("%s: output %q", id, c.SystemOut)
				}
				if d := c.Duration - e.took(); d.Abs().Milliseconds() > 1 {
					t.Errorf("%s: took %v, want %v", id, c.Duration, e.took())
				}
			}
			for _, c := range r.missing() {
				want[junitClass(c.Kernel, c.Filesystem, c.Scenario)+" "+Printable(c.Watch.Name)] = junit.StatusSkipped
			}
			if len(got) != len(want) {
				t.Errorf("%d test cases, want %d", len(got), len(want))
			}
			for id, status := range want {
				if got[id].Status != status {
					t.Errorf("%s is %q, want %q", id, got[id].Status, status)
				}
			}
		})
	}
}
