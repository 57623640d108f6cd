package reports

import (
	"bytes"
	"html"
	"strings"
	"testing"

	"kqual/matrix"
)

// withCosts is the synthetic report with what unlink costs on its first three
// kernels; one of them is called as no kernel should be, and lost a boot.
func withCosts() Input {
	in := synthetic()
	spec := *in.Spec
	in.Spec = &spec
	in.Spec.Costs = &matrix.CostPlan{Baseline: in.Runs[0].Kernel, Groups: []int{0, 1, 32}, Boots: 3}
	for i := range 3 {
		for round := range 3 {
			host := []float64{1, 1.6, 1.1}[round] * []float64{1, 1.02, 0.98}[(i+round)%3]
			in.Runs[i].Costs = append(in.Runs[i].Costs, matrix.CostBoot{Round: round, Accel: "tcg", QEMU: "7.2.22", Total: 2e9, Samples: []matrix.CostSample{
				{Groups: 0, Nanosec: 8000 * host}, {Groups: 1, Nanosec: 10000 * host}, {Groups: 32, Nanosec: (30000 + 5000*float64(i)) * host},
			}})
		}
	}
	in.Runs[1].Kernel = hostileKernel
	for i := range in.Runs[1].Cells {
		in.Runs[1].Cells[i].Cell.Kernel = hostileKernel
	}
	in.Runs[1].Costs[2] = matrix.CostBoot{Round: 2, Accel: "tcg", Error: &matrix.Failure{Reason: "panic <b>"}}
	in.Runs[1].Provenance.Patches = []matrix.Patch{{Name: "affected", Files: 9, Added: 90, Removed: 80}, {Name: "<ihold|x>", Files: 2, Added: 17, Removed: 4}}
	return in
}

func TestCostsAreASideTable(t *testing.T) {
	r := Build(withCosts())
	for file, c := range map[string]struct {
		format string
		opts   Options
	}{
		"costs-120.txt": {"terminal", Options{Width: 120}},
		"costs-60.txt":  {"terminal", Options{Width: 60}},
		"costs.md":      {"markdown", Options{}},
		"costs.html":    {"html", Options{}},
	} {
		text := costsPart(t, rendered(t, c.format, r, c.opts), c.format)
		goldenBytes(t, file, []byte(text))
		plain := html.UnescapeString(strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `\`, ""))
		for _, want := range []string{"tcg", "native", in32(r), "+17 −4 in 2 files"} {
			if !strings.Contains(plain, want) {
				t.Errorf("%s does not say %q", file, want)
			}
		}
		if c.format != "terminal" && (strings.Contains(text, "<b>") || strings.Contains(text, "<ihold")) {
			t.Errorf("%s is not escaped", file)
		}
	}
	if text := costsPart(t, render(t, "json", r), "json"); !strings.Contains(text, `"ratio"`) || !strings.Contains(text, `"per_second"`) {
		t.Error("the costs are not in the JSON")
	}
}

func rendered(t *testing.T, format string, r *Report, o Options) string {
	t.Helper()
	f, err := LookupFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Render(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// in32 is the ratio of the third kernel with 32 groups.
func in32(r *Report) string {
	for _, row := range r.Costs.Rows {
		if row.Patch == nil && row.Kernel != r.Costs.Baseline {
			return costLines(row.Costs[2], false)[1]
		}
	}
	return "no such row"
}

// costsPart is a rendering's part about costs.
func costsPart(t *testing.T, text, format string) string {
	t.Helper()
	begin, end := costsTitle, "\nFindings"
	switch format {
	case "markdown":
		begin, end = "\n## "+costsTitle, "\n## Numbers"
	case "html":
		begin, end = `<section aria-labelledby="h-costs">`, `<section aria-labelledby="h-kernels">`
	case "json":
		begin, end = "\n  \"costs\": {", "\n  },"
	}
	_, after, found := strings.Cut(text, begin)
	part, _, closed := strings.Cut(after, end)
	if !found || !closed {
		t.Fatalf("%s has no part about costs", format)
	}
	return strings.TrimSpace(begin+part) + "\n"
}

func TestCostsAreDerivedFromWhatWasSaved(t *testing.T) {
	saved, err := Encode(Build(withCosts()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(saved)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Encode(r); err != nil || string(again) != string(saved) {
		t.Errorf("the costs are not as they were saved: %v", err)
	}
	if r.Timing.Costs != 16e9 || !strings.Contains(timingLine(r.Timing), "; costs of unlink 16.0 s") {
		t.Errorf("%s", timingLine(r.Timing))
	}
}

func TestWithoutCostsNothingIsSaidOfThem(t *testing.T) {
	r := Build(synthetic())
	for _, f := range Formats() {
		if text := render(t, f.Name, r); f.Name != "schema" && strings.Contains(text, costsTitle) {
			t.Errorf("%s speaks of costs", f.Name)
		}
	}
}
