package reports

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

func TestChartsKeepNaturalRatesApartFromAmplifiedOnes(t *testing.T) {
	r := Build(withNatural())
	show := func(natural bool) []string {
		var out []string
		for _, p := range r.chartRates("IN_DELETE", natural) {
			out = append(out, fmt.Sprintf("%s %d/%d", r.Kernels[p.kernel].Kernel, p.Count, p.Of))
		}
		return out
	}
	if diff := cmp.Diff([]string{"debian-11 0/20000", "v5.10-affected 5/20000"}, show(true)); diff != "" {
		t.Errorf("natural (-want +got):\n%s", diff)
	}
	want := []string{"debian-11 0/3700", "v5.10-affected 128/128", "debian-12 0/3700", "debian-13 2/11980", "v6.18-early 128/128"}
	if diff := cmp.Diff(want, show(false)); diff != "" {
		t.Errorf("amplified (-want +got):\n%s", diff)
	}
}

func TestChartsHaveTheTimeToADecisionOfEveryKind(t *testing.T) {
	in := withNatural()
	affected := in.Runs[3].Cells // v5.10-affected: three cells on ext4 and two on tmpfs
	affected[1].Outcome.Elapsed *= 10
	r := Build(in)
	got := map[string]string{}
	for _, d := range deciding {
		for _, c := range r.chartTimes(d.kinds) {
			got[d.name+" "+r.Kernels[c.kernel].Kernel] = fmt.Sprintf("%d %s %s %s", c.cells, seconds(c.min), seconds(c.median), seconds(c.max))
		}
	}
	for id, want := range map[string]string{
		"affected v5.10-affected":  "5 0.4 s 0.4 s 3.0 s",
		"clean or holds debian-11": "10 0.4 s 0.4 s 0.4 s", // without the natural cell and the refused ones
		"inconclusive debian-12":   "1 0.4 s 0.4 s 0.4 s",
	} {
		if got[id] != want {
			t.Errorf("%s: %q, want %q", id, got[id], want)
		}
	}
}

func TestTheChartSaysWhatIsMissingAndNothingNaturalWhereThereIsNone(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      Input
		want    []string
		without []string
	}{
		{"done", synthetic(), []string{"Time to decision"}, []string{"not run", "Natural beside amplified"}},
		{"interrupted", interrupted(), []string{"; 56 of 72 cells not run"}, nil},
		{"natural", withNatural(), []string{"Natural beside amplified", "natural, none stale: upper limit", "0.01 %"}, nil},
		{"nothing", Input{Spec: &matrix.Spec{Name: "nothing"}, State: StateInterrupted}, []string{"no kernel was run"}, []string{"Time to decision"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := render(t, "svg", Build(c.in))
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("no %q", w)
				}
			}
			for _, w := range c.without {
				if strings.Contains(text, w) {
					t.Errorf("%q is there", w)
				}
			}
		})
	}
}
