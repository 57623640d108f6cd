package reports

import (
	"strings"
	"testing"

	"kqual/matrix"
)

func render(t *testing.T, format string, r *Report) string {
	t.Helper()
	return rendered(t, format, r, Options{Width: 400})
}

// blind is the synthetic run on a host that sees nothing stale on tmpfs.
func blind() Input {
	in := synthetic()
	for i := range in.Runs {
		if in.Runs[i].Kernel != "v5.10-affected" {
			continue
		}
		for k := range in.Runs[i].Cells {
			if c := &in.Runs[i].Cells[k]; c.Cell.Filesystem == "tmpfs" && c.Outcome.Status == matrix.Measured {
				c.Outcome = fixed()
			}
		}
		in.Runs[i].Witnesses = []matrix.Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Late}, {Filesystem: "ext4", Kind: "unlink", Order: matrix.Early}}
	}
	return in
}

func TestABlindHostIsSaidBeforeAnyTable(t *testing.T) {
	r := Build(blind())
	if !r.ControlCheck.Blind || r.Gate.Exit == matrix.ExitMet {
		t.Errorf("%+v, exit %d", r.ControlCheck, r.Gate.Exit)
	}
	for _, format := range []string{"terminal", "markdown"} {
		text := render(t, format, r)
		at := strings.Index(text, "BLIND: a cell that must be affected is not")
		if why := strings.Index(text, "v5.10-affected/tmpfs/unlink/IN_DELETE must be affected"); at < 0 || why < at || strings.Index(text, "tmpfs/unlink\n") < why {
			t.Errorf("%s does not begin with the blindness:\n%s", format, text[:min(len(text), 1500)])
		}
	}
	if text := render(t, "json", r); !strings.Contains(text, `"blind": true`) {
		t.Error("json does not say blind")
	}
	for _, c := range r.Cells {
		if c.Filesystem == "tmpfs" && c.Verdict.Kind == matrix.VerdictClean {
			t.Errorf("%s is clean on a blind host", c.ID())
		}
		if c.ID() == "debian-12/ext4/unlink/IN_DELETE" && c.Verdict.Kind != matrix.VerdictClean {
			t.Errorf("%s is %s; the control on ext4 passed", c.ID(), c.Verdict.Kind)
		}
	}
}

func TestAReportNamesTheControlsItLacks(t *testing.T) {
	in := synthetic()
	in.Runs = in.Runs[:1]
	for _, format := range []string{"terminal", "markdown"} {
		text := render(t, format, Build(in))
		if !strings.Contains(text, "no answer from a control: v5.10-affected/") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
}

func TestTheNaturalRateStandsBesideTheAmplifiedOne(t *testing.T) {
	built := Build(withNatural())
	data, err := Encode(built)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Report{built, loaded} {
		want := map[string]string{
			"debian-11/tmpfs/indelchurn/IN_DELETE":      "natural 0/20000",
			"v5.10-affected/tmpfs/indelchurn/IN_DELETE": "STALE 5/20000",
		}
		natural := map[string]int{"debian-11/tmpfs/unlink/IN_DELETE": 0, "v5.10-affected/tmpfs/unlink/IN_DELETE": 5}
		for _, c := range r.Cells {
			if text, ok := want[c.ID()]; ok && !strings.HasPrefix(c.Text, text) {
				t.Errorf("%s: %s, want %s", c.ID(), c.Text, text)
			}
			if count, ok := natural[c.ID()]; ok && (c.Numbers.Natural == nil || c.Numbers.Natural.Count != count || c.Numbers.Natural.Of != 20000) {
				t.Errorf("%s: natural rate %+v", c.ID(), c.Numbers.Natural)
			}
		}
		text := render(t, "terminal", r)
		for _, part := range []string{"natural 0/n", "natural 0/20000", "natural rate: of all trials"} {
			if !strings.Contains(text, part) {
				t.Errorf("the table lacks %q", part)
			}
		}
	}
}

func TestLoadRefusesAControlThatIsNone(t *testing.T) {
	r := Build(synthetic())
	r.Controls[0].Verdict = nil
	data, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(data); err == nil || !strings.Contains(err.Error(), "a control must have") {
		t.Errorf("got %v", err)
	}
}
