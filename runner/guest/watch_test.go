package guest

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func fanWatch(init, mark, mask []string) matrix.Watch {
	return matrix.Watch{Source: "fanotify", Check: "open", Flags: map[string][]string{"init": init, "mark": mark, "mask": mask}}
}

func TestFanotifyRefusesWatchesThatCannotTell(t *testing.T) {
	named, del := []string{"FAN_REPORT_DFID_NAME"}, []string{"FAN_DELETE"}
	for name, c := range map[string]struct {
		w    matrix.Watch
		want string
	}{
		"named":       {fanWatch(named, nil, del), ""},
		"descriptor":  {fanWatch(nil, nil, del), ""}, // the kernel refuses it
		"no name":     {fanWatch([]string{"FAN_REPORT_FID"}, nil, del), "no name in the event; add FAN_REPORT_DFID_NAME"},
		"no name dir": {fanWatch([]string{"FAN_REPORT_DIR_FID"}, nil, del), "no name in the event; add FAN_REPORT_DFID_NAME"},
		"ignored":     {fanWatch(named, []string{"FAN_MARK_IGNORE"}, del), "an ignore mark asks for no event"},
		"no event":    {fanWatch(named, nil, []string{"FAN_ONDIR"}), "the mask has no event"},
	} {
		got := strings.Join(fanotify{}.catalog().Validate(c.w), "; ")
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// fixedGroup is a group that only has a place.
type fixedGroup struct {
	group
	rank int
}

func TestABystanderIsToldWhereTheWatchSays(t *testing.T) {
	p := &pool{}
	for i := range 40 {
		p.groups = append(p.groups, fixedGroup{rank: i})
	}
	rank := func(g group) int { return g.(fixedGroup).rank }
	for seed := range uint64(50) {
		for _, told := range []matrix.Told{matrix.ToldBefore, matrix.ToldAfter} {
			w := matrix.Watch{Bystander: &matrix.Bystander{Told: told}}
			groups, by, err := p.cast(rand.New(rand.NewPCG(seed, 0)), 8, w)
			if err != nil || len(groups) != 9 {
				t.Fatalf("%d groups, %v", len(groups), err)
			}
			if !slices.IsSortedFunc(groups, func(a, b group) int { return rank(a) - rank(b) }) {
				t.Error("the groups lost their order")
			}
			if told == matrix.ToldBefore && rank(by) > rank(groups[0]) || told == matrix.ToldAfter && rank(by) < rank(groups[8]) {
				t.Errorf("told %s: the bystander has rank %d, the reader %d", told, rank(by), rank(groups[0]))
			}
		}
	}
	if _, _, err := (&pool{groups: p.groups[:1]}).cast(rand.New(rand.NewPCG(0, 0)), 0, matrix.Watch{Bystander: &matrix.Bystander{}}); err == nil {
		t.Error("one group was enough for a reader and a bystander")
	}
}

func TestAOneshotWatchIsArmedAgainForEachName(t *testing.T) {
	g, err := inotify{}.open(matrix.Watch{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	dir := t.TempDir()
	w := matrix.Watch{Flags: map[string][]string{"mask": {"IN_DELETE", "IN_ONESHOT"}}}
	if err := g.mark(w, dir); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for _, arm := range []bool{true, true, false} {
		if err := os.WriteFile(dir+"/v", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if arm {
			if errno := g.rearm(); errno != 0 {
				t.Fatal(errno)
			}
		}
		if err := os.Remove(dir + "/v"); err != nil {
			t.Fatal(err)
		}
		n, err := unix.Read(g.fd(), buf)
		if got := err == nil && binary.NativeEndian.Uint32(buf[4:])&unix.IN_DELETE != 0; got != arm {
			t.Errorf("armed %t, told %t (%d bytes, %v)", arm, got, n, err)
		}
	}
}
