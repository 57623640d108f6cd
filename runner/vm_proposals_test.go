package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner/wire"
)

const proposalsMatrix = "../matrices/proposals.yaml"

// proposalRun is a run of matrices/proposals.yaml, and its images by kernel.
func proposalRun(t testing.TB) (Config, matrix.Catalog, *matrix.Spec) {
	t.Helper()
	text, err := os.ReadFile(proposalsMatrix)
	if err != nil {
		t.Fatal(err)
	}
	cfg, cat := testRun(t, string(text))
	spec, err := matrix.Parse(proposalsMatrix, text, cat)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, cat, spec
}

// exerciser boots kernels of the proposals with the program in
// testdata/proposals.
type exerciser struct {
	cfg   Config
	accel string
	disks map[string]string
}

func newExerciser(t testing.TB) *exerciser {
	t.Helper()
	haveTheHost(t) // its boots take no turns
	cfg, _, _ := proposalRun(t)
	e := &exerciser{cfg: cfg}
	var err error
	if e.disks, err = makeDisks(context.Background(), cfg.Plan, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	p := Prober{Image: e.image(t, "v5.10-stock"), Guest: cfg.Guest, Dir: t.TempDir(), Memory: AccelMemory(cfg.CacheDir)}
	if e.accel, err = p.Choose(context.Background(), "auto"); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *exerciser) image(t testing.TB, kernel string) *kernels.Image {
	t.Helper()
	for _, k := range e.cfg.Plan.Kernels {
		if k.Kernel.Name == kernel {
			img, err := kernels.Fetch(context.Background(), kernels.Env{Cache: e.cfg.Cache, Kernel: kernel, Progress: func(kernels.Event) {}}, k.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	t.Fatalf("%s has no kernel %s", proposalsMatrix, kernel)
	return nil
}

// boot runs one exercise and returns its notes by kind. Whatever the console
// complains of is an error, even if the machine went on.
func (e *exerciser) boot(t testing.TB, kernel, exercise string) map[string][]json.RawMessage {
	t.Helper()
	notes := map[string][]json.RawMessage{}
	b := &boot{
		image: e.image(t, kernel), guest: program(t, "proposals"), accel: e.accel, dir: t.TempDir(), disks: e.disks,
		machine: matrix.Machine{VCPUs: 2, Memory: 512 << 20}, cpus: hostCPUs(),
		plan: wire.Plan{Kernel: exercise, Seed: 20220115, Filesystems: []wire.Filesystem{{Name: "tmpfs"}, {Name: "ext4"}}},
		onRecord: func(r wire.Record) {
			if kind, body, ok := strings.Cut(r.Note, " "); ok {
				notes[kind] = append(notes[kind], json.RawMessage(body))
			}
		},
	}
	res := b.run(context.Background())
	if res.failure != nil {
		t.Fatalf("%s: %s", kernel, res.failure.Reason)
	}
	log, err := os.Open(b.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for _, s := range scanConsole(log) {
		t.Errorf("%s: the console says %s: %s", kernel, s.Kind, s.Line)
	}
	return notes
}

// decode is all notes of a kind; there must be some.
func decode[T any](t testing.TB, notes map[string][]json.RawMessage, kind string) []T {
	t.Helper()
	var out []T
	for _, raw := range notes[kind] {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		t.Fatalf("the guest said nothing of %s", kind)
	}
	return out
}

// The verdicts that the thread's proposals must have, whatever the matrix
// itself expects: kernel → verdicts of its watches on ext4; on tmpfs those of
// inotify, and fanotify has none there.
func TestVMTheProposalsShowWhatTheyPromise(t *testing.T) {
	needVM(t)
	const (
		stale = matrix.VerdictAffected
		holds = matrix.VerdictHolds
		clean = matrix.VerdictClean
	)
	const watches = 6
	repaired := [watches]matrix.VerdictKind{clean, clean, clean, clean, clean, clean}
	// IN_DELETE, +EXCL_UNLINK, the same told after and before a group that opted
	// in, FAN_DELETE, +target_fid
	want := map[string][watches]matrix.VerdictKind{
		"v5.10-stock":          repaired,
		"v5.10-affected":       {stale, stale, stale, stale, stale, holds},
		"v5.10-excl-unlink":    {stale, holds, holds, stale, stale, holds},
		"v5.10-prepare-report": repaired,
		"v5.10-ihold":          repaired,
		"v5.10-pre-delete":     repaired,
		"v5.10-pre53":          repaired,
	}
	cfg, cat, _ := proposalRun(t)
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, run := range runs {
		for i, v := range matrix.Judge(run, cfg.Sampling, cat) {
			c := run.Cells[i].Cell
			n := slices.IndexFunc(cfg.Plan.Kernels[0].Cells[:watches], func(o matrix.Cell) bool { return o.Watch.Name == c.Watch.Name })
			if n < 0 {
				t.Fatalf("no watch %s", c.Watch.Name)
			}
			kind := want[run.Kernel][n]
			if c.Filesystem == "tmpfs" && c.Watch.Source == "fanotify" {
				kind = matrix.VerdictUnsupported
			}
			if v.Kind != kind {
				t.Errorf("%s: %s, want %s", c.ID(), matrix.VerdictText(v), kind)
			}
			cells++
		}
		// A kernel whose name dies first says so without any race, too.
		for _, w := range run.Witnesses {
			if early := want[run.Kernel][0] == stale; w.Order != map[bool]matrix.Order{true: matrix.Early, false: matrix.Late}[early] {
				t.Errorf("%s on %s: the order witness says %s", run.Kernel, w.Filesystem, w.Order)
			}
		}
	}
	if cells != 2*watches*len(want) {
		t.Errorf("%d cells, want %d", cells, 2*watches*len(want))
	}
}

// solutions are the kernels that must not be told from stock by their events.
var solutions = []string{"v5.10-prepare-report", "v5.10-ihold", "v5.10-pre-delete", "v5.10-pre53"}

func TestVMTheProposalsSendTheEventStreamsOfStock(t *testing.T) {
	needVM(t)
	e := newExerciser(t)
	streams := func(kernel, fs string, notes map[string][]json.RawMessage) []string {
		lines := slices.Concat(decode[[]string](t, notes, "stream-"+fs)...)
		last := func(l string) bool { return strings.HasPrefix(l, "1499 ") }
		if len(lines) < 3000 || !slices.ContainsFunc(lines, last) {
			t.Errorf("%s on %s: %d lines, not the whole sequence", kernel, fs, len(lines))
		}
		return lines
	}
	stock := e.boot(t, "v5.10-stock", "streams")
	for _, kernel := range solutions {
		notes := e.boot(t, kernel, "streams")
		for _, fs := range []string{"tmpfs", "ext4"} {
			want, got := streams("v5.10-stock", fs, stock), streams(kernel, fs, notes)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s on %s sends other events than stock (-stock +%s):\n%.4000s", kernel, fs, kernel, diff)
			}
			deletes := 0
			for _, l := range got {
				if strings.Contains(l, " mask 0x200 ") {
					deletes++
				}
			}
			t.Logf("%s on %s: %d lines equal, %d of them deletes", kernel, fs, len(got), deletes)
			if deletes < 200 {
				t.Errorf("%s on %s: only %d deletes", kernel, fs, deletes)
			}
		}
	}
	// What cannot differ proves nothing: the affected order must.
	affected := e.boot(t, "v5.10-affected", "streams")
	for _, fs := range []string{"tmpfs", "ext4"} {
		if slices.Equal(streams("v5.10-stock", fs, stock), streams("v5.10-affected", fs, affected)) {
			t.Errorf("on %s the affected kernel sends the events of stock: the sequence shows nothing", fs)
		}
	}
}

// churned is what the guest saw while watches came and went
// (testdata/proposals/churn.go).
type churned struct {
	Filesystem                             string
	Deletes                                int
	Lost, Twice, AfterIgnored, OneShotMore int
	Groups, Watches                        int
	Late, LateLost                         int
}

func TestVMWatchesMayComeAndGoWhileNamesDie(t *testing.T) {
	needVM(t)
	e := newExerciser(t)
	var table strings.Builder
	table.WriteString("\n| kernel | filesystem | deletes | events lost or doubled | events after IN_IGNORED | watches there before the name died | of these, never told |\n|---|---|---:|---:|---:|---:|---:|\n")
	for _, kernel := range append([]string{"v5.10-stock", "v5.10-affected", "v5.10-excl-unlink"}, solutions...) {
		for _, c := range decode[churned](t, e.boot(t, kernel, "churn"), "churned") {
			t.Logf("%s: %+v", kernel, c)
			fmt.Fprintf(&table, "| %s | %s | %d | %d | %d | %d | %d |\n", kernel, c.Filesystem, c.Deletes, c.Lost+c.Twice+c.OneShotMore, c.AfterIgnored, c.Late, c.LateLost)
			// Events after IN_IGNORED are only counted: every kernel looks at the
			// watch before it makes the event, and stock sends some, too.
			if c.Lost+c.Twice+c.OneShotMore > 0 {
				t.Errorf("%s: %+v", kernel, c)
			}
			if c.Deletes < 300 || c.Groups < 10 || c.Watches < 100 || c.Late < 10 {
				t.Errorf("%s: too little happened: %+v", kernel, c)
			}
			// Whoever decides who is told before the name dies misses a watch that
			// is added in between; that is the order's nature and only counted.
			decidesEarly := kernel == "v5.10-affected" || kernel == "v5.10-excl-unlink" || kernel == "v5.10-prepare-report"
			if c.LateLost > 0 && !decidesEarly {
				t.Errorf("%s: %d of %d watches that were there before the name died were not told", kernel, c.LateLost, c.Late)
			}
		}
	}
	if os.Getenv("KQUAL_FULL") == "1" {
		writeSection(t, "../docs/proposals.md", "churn", table.String())
	}
}

func TestVMPreDeleteHoldsTheInodeOnlyForWatchers(t *testing.T) {
	needVM(t)
	e := newExerciser(t)
	type counted struct {
		Step                  string
		Names, Deletes, Holds int
	}
	steps := decode[counted](t, e.boot(t, "v5.10-pre-delete", "holds"), "counted")
	for i, s := range steps {
		want := 0
		if i == len(steps)-1 {
			want = s.Names
		}
		if s.Names == 0 || s.Deletes != s.Names || s.Holds != want {
			t.Errorf("%s: %d names died, %d were counted, %d inodes held; want %d", s.Step, s.Names, s.Deletes, s.Holds, want)
		}
	}
	if len(steps) != 4 {
		t.Errorf("%d steps", len(steps))
	}
}

// writeSection replaces what stands between the marks of a section.
func writeSection(t testing.TB, path, section, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+section+" -->\n", "<!-- end of "+section+" -->\n"
	before, rest, found := strings.Cut(string(data), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no section %s", path, section)
	}
	if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
