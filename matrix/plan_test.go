package matrix

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ids(cells []Cell) []string {
	var out []string
	for _, c := range cells {
		id := strings.TrimPrefix(c.ID(), c.Kernel+"/")
		if c.Watch.Control {
			id += "!"
		}
		out = append(out, id)
	}
	return out
}

func planOf(t *testing.T, s *Spec, only, skip []string) *Plan {
	t.Helper()
	sel, err := ParseSelection(only, skip)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(s, testCatalog(), sel)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanOrdersCellsAndAddsTheMissingControl(t *testing.T) {
	p := planOf(t, designSpec(t), nil, nil)
	if len(p.Kernels) != 2 || p.Kernels[1].Index != 1 || p.Cells() != 24 {
		t.Fatalf("%d kernels, %d cells", len(p.Kernels), p.Cells())
	}
	want := []string{
		"tmpfs/unlink/FAN_DELETE!", "tmpfs/unlink/IN_DELETE", "tmpfs/unlink/IN_DELETE+EXCL_UNLINK", "tmpfs/unlink/IN_DELETE+nlink",
		"tmpfs/unlink/IN_DELETE+getdents", "tmpfs/unlink/FAN_DELETE+target_fid",
		"ext4/unlink/FAN_DELETE!", "ext4/unlink/IN_DELETE", "ext4/unlink/IN_DELETE+EXCL_UNLINK", "ext4/unlink/IN_DELETE+nlink",
		"ext4/unlink/IN_DELETE+getdents", "ext4/unlink/FAN_DELETE+target_fid",
	}
	if diff := cmp.Diff(want, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
	if c := p.Kernels[0].Cells[0].Watch; c.Source != "fanotify" || c.Check != "open" {
		t.Errorf("control %+v", c)
	}
}

func TestPlanReusesThePlainWatchThatTheSelectionLeftOut(t *testing.T) {
	p := planOf(t, designSpec(t), []string{"watch=*nlink,fs=tmpfs,kernel=debian-*"}, nil)
	if diff := cmp.Diff([]string{"tmpfs/unlink/IN_DELETE!", "tmpfs/unlink/IN_DELETE+nlink"}, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
}

func TestPlanAddsNoControlForPlainWatchesAlone(t *testing.T) {
	p := planOf(t, designSpec(t), []string{"watch=IN_DELETE"}, nil)
	if diff := cmp.Diff([]string{"tmpfs/unlink/IN_DELETE", "ext4/unlink/IN_DELETE"}, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
}

func TestPlanGivesControlsANameOfTheirOwn(t *testing.T) {
	s := designSpec(t)
	s.Filesystems = []string{"tmpfs"}
	s.Watches = []Watch{
		{Name: "IN_DELETE", Source: "inotify", Check: "nlink", Flags: map[string][]string{"mask": {"IN_DELETE"}}},
		{Name: "IN_DELETE (control)", Source: "inotify", Check: "getdents", Flags: map[string][]string{"mask": {"IN_DELETE"}}},
	}
	p := planOf(t, s, nil, nil)
	want := []string{"tmpfs/unlink/IN_DELETE (control 2)!", "tmpfs/unlink/IN_DELETE", "tmpfs/unlink/IN_DELETE (control)"}
	if diff := cmp.Diff(want, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
}

func TestPlanListsCellsWithoutTheDecidingEvent(t *testing.T) {
	s := designSpec(t)
	s.Scenarios = []string{"unlink", "rename"}
	s.Watches = append(s.Watches, Watch{Name: "MOVED", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_MOVED_FROM"}}})
	p := planOf(t, s, []string{"kernel=debian-11,fs=tmpfs,watch=IN_DELETE|MOVED"}, nil)
	if diff := cmp.Diff([]string{"tmpfs/unlink/IN_DELETE", "tmpfs/rename/MOVED"}, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"tmpfs/unlink/MOVED", "tmpfs/rename/IN_DELETE"}, ids(p.NoEvent)); diff != "" {
		t.Error(diff)
	}
}

func TestPlanListsCellsThatDoNotHappenOnTheFilesystem(t *testing.T) {
	s := designSpec(t)
	s.Filesystems, s.Scenarios = []string{"tmpfs", "overlay"}, []string{"unlink", "rmdir"}
	cat := testCatalog()
	cat.Filesystems["overlay"] = Filesystem{Name: "overlay", Scenarios: []string{"rmdir"}}
	sel, err := ParseSelection([]string{"kernel=debian-11,watch=IN_DELETE"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(s, cat, sel)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tmpfs/unlink/IN_DELETE", "tmpfs/rmdir/IN_DELETE", "overlay/rmdir/IN_DELETE"}, ids(p.Kernels[0].Cells)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"overlay/unlink/IN_DELETE"}, ids(p.NoPlace)); diff != "" {
		t.Error(diff)
	}
	s.Filesystems, s.Scenarios = []string{"overlay"}, []string{"unlink"}
	want := "no cell to run: scenario unlink does not happen on overlay, which has rmdir; add one of these to scenarios or choose another filesystem"
	if _, err := NewPlan(s, cat, Selection{}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPlanRefusesASelectionWithoutCells(t *testing.T) {
	for _, c := range []struct {
		only, skip, want string
	}{
		{"kernel=debian-12", "", `the selection leaves no cell: --only kernel=debian-12: "debian-12" matches no kernel of the matrix; did you mean "debian-11"?`},
		{"", "kernel=*", "the selection leaves no cell; remove a part of --only or --skip"},
	} {
		var only, skip []string
		if c.only != "" {
			only = []string{c.only}
		}
		if c.skip != "" {
			skip = []string{c.skip}
		}
		sel, err := ParseSelection(only, skip)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewPlan(designSpec(t), testCatalog(), sel); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestPlanNamesPatternsThatMatchNothing(t *testing.T) {
	p := planOf(t, designSpec(t), []string{"watch=IN_DELETE|IN_DELET+nlink"}, nil)
	if len(p.Stray) != 1 || !strings.Contains(p.Stray[0], `did you mean "IN_DELETE+nlink"?`) {
		t.Errorf("stray %v", p.Stray)
	}
}

func TestSelection(t *testing.T) {
	cell := Cell{Kernel: "6.1", Filesystem: "tmpfs", Scenario: "unlink", Watch: Watch{Name: "IN_DELETE+nlink"}}
	for _, c := range []struct {
		only, skip []string
		want       bool
	}{
		{nil, nil, true},
		{[]string{"kernel=6.*,watch=IN_*"}, nil, true},
		{[]string{"kernel=6.*,watch=FAN_*"}, nil, false},
		{[]string{"watch=FAN_*|IN_*"}, nil, true},
		{[]string{"watch=FAN_*,watch=IN_*"}, nil, true},
		{[]string{"kernel=5.*", "kernel=6.*"}, nil, true},
		{[]string{"fs=ext4"}, nil, false},
		{[]string{"filesystem = tmpfs , scenario=unlink"}, nil, true},
		{nil, []string{"fs=tmpfs,kernel=5.*"}, true},
		{nil, []string{"fs=tmpfs"}, false},
		{[]string{"kernel=6.1"}, []string{"watch=*nlink"}, false},
	} {
		s, err := ParseSelection(c.only, c.skip)
		if err != nil {
			t.Error(err)
		} else if got := s.Selects(cell); got != c.want {
			t.Errorf("only %q skip %q: %v", c.only, c.skip, got)
		}
	}
	for in, want := range map[string]string{
		"kernal=6.*": `--only kernal=6.*: unknown key "kernal"; did you mean "kernel"?`,
		"6.*":        `--only 6.*: "6.*" has no pattern; write KEY=PATTERN such as kernel=6.*`,
		"kernel=":    "--only kernel=: kernel has an empty pattern; write * to match everything",
		"":           `--only : "" has no pattern; write KEY=PATTERN such as kernel=6.*`,
	} {
		if _, err := ParseSelection([]string{in}, nil); err == nil || err.Error() != want {
			t.Errorf("ParseSelection(%q): %v, want %s", in, err, want)
		}
	}
}

func TestCostAddsUpKernels(t *testing.T) {
	c := planOf(t, designSpec(t), nil, nil).Cost()
	if c.Boots != 2 || c.Cells != 24 || len(c.Kernels) != 2 {
		t.Fatalf("%+v", c)
	}
	// debian-11: a boot, 5 clean cells on tmpfs and a refused one twice over
	// (FAN_*), 6 on ext4. v5.10-affected: the same with 4 affected cells.
	k := c.Kernels[0]
	if want := 2*time.Second + 4*700*time.Millisecond + 6*time.Second + 2*10*time.Millisecond; k.Source != "download about 30 MB" || k.Likely != want || k.Upper != 12*25*time.Second+20*time.Second {
		t.Errorf("%+v, want likely %s", k, want)
	}
	if want := k.Likely - 2*700*time.Millisecond - 2*time.Second + 4*100*time.Millisecond; c.Kernels[1].Likely != want || c.Likely != k.Likely+want || c.Upper != 2*k.Upper {
		t.Errorf("%+v, want likely %s", c, want)
	}
}

func TestJoinedFlagsAreNeededTogether(t *testing.T) {
	cat := Catalog{
		EventSources: map[string]EventSource{"fanotify": {Groups: []FlagGroup{
			{Key: "init", Flags: map[string]uint64{"FAN_DELETE": 7}}, // of another group
			{Key: "mask", Flags: map[string]uint64{"FAN_DELETE": 1, "FAN_ONDIR": 2, "FAN_OPEN": 4, "FAN_EVERYTHING": 7}},
		}}},
		Scenarios: map[string]Scenario{"rmdir": {Events: map[string][]string{"fanotify": {"FAN_DELETE|FAN_ONDIR"}}}},
	}
	for _, tt := range []struct {
		mask []string
		want bool
	}{
		{[]string{"FAN_ONDIR", "FAN_DELETE"}, true},
		{[]string{"FAN_DELETE"}, false},
		{[]string{"FAN_ONDIR"}, false},
		{[]string{"FAN_OPEN", "FAN_EVERYTHING"}, true}, // its bits count, not its name
		{nil, false},
	} {
		w := Watch{Source: "fanotify", Flags: map[string][]string{"mask": tt.mask}}
		if got := tellsOf(cat, "rmdir", w); got != tt.want {
			t.Errorf("%v: got %t", tt.mask, got)
		}
	}
}
