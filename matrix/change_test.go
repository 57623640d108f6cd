package matrix

import (
	"slices"
	"strings"
	"testing"
)

func under(j Judged, c Conditions) Judged {
	j.Under = c
	return j
}

func changesOf(c Comparison) map[string]Meaning {
	out := map[string]Meaning{}
	for _, d := range c.Differences {
		out[d.Cell] = d.Change
	}
	return out
}

func TestCompareSaysWhatAChangeMeans(t *testing.T) {
	kinds := map[string][2]VerdictKind{
		"new": {VerdictClean, VerdictAffected}, "new from nothing": {VerdictError, VerdictAffected},
		"fixed": {VerdictAffected, VerdictClean}, "held": {VerdictAffected, VerdictHolds}, "still": {VerdictAffected, VerdictAffected},
		"lost": {VerdictClean, VerdictInconclusive}, "lost affected": {VerdictAffected, VerdictError}, "refused": {VerdictClean, VerdictUnsupported},
		"regained": {VerdictInconclusive, VerdictClean},
	}
	var before, after []Judged
	for name, k := range kinds {
		before, after = append(before, judgedCell(name, k[0], 0, 10)), append(after, judgedCell(name, k[1], 0, 10))
	}
	c := Compare(before, after, 0.05)
	want := map[string]Meaning{
		"new": ChangeNew, "new from nothing": ChangeNew, "fixed": ChangeFixed, "held": ChangeFixed,
		"lost": ChangeLost, "lost affected": ChangeLost, "refused": ChangeLost, "regained": ChangeRegained,
	}
	got := changesOf(c)
	for name, change := range want {
		if g := got["k/tmpfs/unlink/"+name]; g != change {
			t.Errorf("%s: %q, want %q", name, g, change)
		}
	}
	if len(got) != len(want) || !slices.Equal(c.StillAffected, []string{"k/tmpfs/unlink/still"}) {
		t.Errorf("differences %v, still affected %v", got, c.StillAffected)
	}
}

func TestALossOfCoverageIsNoPass(t *testing.T) {
	clean := []Judged{judgedCell("a", VerdictClean, 0, 2995)}
	for name, c := range map[string]struct {
		after []Judged
		want  int
	}{
		"nothing changed":           {clean, ExitMet},
		"inconclusive":              {[]Judged{judgedCell("a", VerdictInconclusive, 0, 10)}, ExitNoAnswer},
		"gone":                      {[]Judged{judgedCell("b", VerdictClean, 0, 10)}, ExitNoAnswer},
		"affected, to inconclusive": {nil, ExitNoAnswer},
		"affected":                  {[]Judged{judgedCell("a", VerdictAffected, 3, 10)}, ExitUnmet},
	} {
		before := clean
		if c.after == nil { // losing sight of a regression is no improvement
			before = []Judged{judgedCell("a", VerdictAffected, 9, 10)}
			c.after = []Judged{judgedCell("a", VerdictInconclusive, 0, 1)}
			if d := Compare(before, c.after, 0.05).Differences; d[0].Kind != DiffWorse {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if got := Compare(before, c.after, 0.05).Exit(); got != c.want {
			t.Errorf("%s: exit %d, want %d", name, got, c.want)
		}
	}
	both := Compare(append(clean, judgedCell("b", VerdictClean, 0, 10)),
		[]Judged{judgedCell("a", VerdictInconclusive, 0, 1), judgedCell("b", VerdictAffected, 1, 10)}, 0.05)
	if both.Exit() != ExitUnmet {
		t.Errorf("a regression beside a loss: exit %d", both.Exit())
	}
}

func TestOnlyLikeIsComparedWithLike(t *testing.T) {
	base := Conditions{Arch: "amd64", Accel: "kvm", CPUModel: "host", VCPUs: 2, Tool: "v1", Pressure: 64}
	for what, other := range map[string]Conditions{
		"architecture": {Arch: "arm64", Accel: "kvm", CPUModel: "host", VCPUs: 2, Tool: "v1", Pressure: 64},
		"accelerator":  {Accel: "tcg", CPUModel: "host", VCPUs: 2, Tool: "v1", Pressure: 64}, "CPU model": {Accel: "kvm", CPUModel: "Nehalem", VCPUs: 2, Tool: "v1", Pressure: 64},
		"number of vCPUs": {Accel: "kvm", CPUModel: "host", VCPUs: 1, Tool: "v1", Pressure: 64}, "version of kqual": {Accel: "kvm", CPUModel: "host", VCPUs: 2, Tool: "v2", Pressure: 64},
		"pressure": {Accel: "kvm", CPUModel: "host", VCPUs: 2, Tool: "v1", Pressure: PressureAuto},
	} {
		before := []Judged{
			under(judgedCell("rate", VerdictAffected, 128, 128), base), under(judgedCell("fixed", VerdictAffected, 128, 128), base),
			under(judgedCell("new", VerdictClean, 0, 2995), base), under(judgedCell("lost", VerdictClean, 0, 2995), base),
		}
		after := []Judged{
			under(judgedCell("rate", VerdictAffected, 10, 128), other), under(judgedCell("fixed", VerdictClean, 0, 2995), other),
			under(judgedCell("new", VerdictAffected, 1, 2995), other), under(judgedCell("lost", VerdictInconclusive, 0, 2), other),
		}
		c := Compare(before, after, 0.05)
		got := changesOf(c)
		if c.Tested != 0 || c.Unlike != 4 || got["k/tmpfs/unlink/fixed"] != "" || got["k/tmpfs/unlink/new"] != ChangeNew || got["k/tmpfs/unlink/lost"] != ChangeLost {
			t.Errorf("%s: %d tested, %d unlike, %v", what, c.Tested, c.Unlike, got)
		}
		i := slices.IndexFunc(c.Differences, func(d Difference) bool { return d.Kind == DiffUnlike })
		if i < 0 || !strings.Contains(c.Differences[i].Text, "another "+what) {
			t.Errorf("%s: %+v", what, c.Differences)
		}
		if same := Compare(before, before, 0.05); same.Unlike != 0 || same.Tested != 2 {
			t.Errorf("%s: a run and itself: %d unlike, %d tested", what, same.Unlike, same.Tested)
		}
	}
	if !base.Like(Conditions{}) {
		t.Error("what is unknown is unlike")
	}
}

func TestACellFlapsOnlyWhereNoKernelChanged(t *testing.T) {
	const id = "k/tmpfs/unlink/w"
	a, c, q := VerdictAffected, VerdictClean, VerdictInconclusive
	nights := func(image string, kinds ...VerdictKind) (out []Night) {
		for i, k := range kinds {
			n := Night{Image: "same", Verdict: k}
			if image != "" {
				n.Image = image + string(rune('a'+i))
			}
			out = append(out, n)
		}
		return out
	}
	for name, x := range map[string]struct {
		nights []Night
		want   string
	}{
		"back and forth":            {nights("", c, a, c), "affected on 1 of 3 nights with the same image and machine [0.84 %, 90.6 %]"},
		"with a gap":                {nights("", c, a, q, c, a), "affected on 2 of 4 nights with the same image and machine [6.75 %, 93.3 %]"},
		"once":                      {nights("", c, c, a), ""},
		"never":                     {nights("", c, c, c), ""},
		"another image every night": {nights("image ", c, a, c), ""},
		"nothing":                   {nil, ""},
	} {
		comparison := Compare(nil, nil, 0.05)
		comparison.CompareNights(map[string][]Night{id: x.nights}, 0.95)
		got := ""
		if len(comparison.Differences) > 0 {
			got = comparison.Differences[0].Text
		}
		if got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
	worse := Compare([]Judged{judgedCell("w", c, 0, 10)}, []Judged{judgedCell("w", a, 3, 10)}, 0.05)
	worse.CompareNights(map[string][]Night{id: nights("", a, c, a)}, 0.95)
	if d := worse.Differences; len(d) != 1 || d[0].Kind != DiffWorse || d[0].Change != ChangeFlapping || worse.Exit() != ExitUnmet {
		t.Errorf("worse and flapping: %+v, exit %d", d, worse.Exit())
	}
}

func TestKernelsComeAndGo(t *testing.T) {
	cell := func(kernel string) Judged {
		j := judgedCell("w", VerdictClean, 0, 10)
		j.Cell.Kernel = kernel
		return j
	}
	c := Compare([]Judged{cell("old"), cell("both")}, []Judged{cell("new"), cell("both")}, 0.05)
	if !slices.Equal(c.NewKernels, []string{"new"}) || !slices.Equal(c.VanishedKernels, []string{"old"}) {
		t.Errorf("new %v, vanished %v", c.NewKernels, c.VanishedKernels)
	}
}
