package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kqual/internal/history"
	"kqual/internal/nightly"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

const nightMatrix = `version: 1
name: nights
kernels:
  - {name: bad, file: {vmlinuz: /boot/bad}}
  - {name: a, file: {vmlinuz: /boot/a}}
  - {name: b, file: {vmlinuz: /boot/b}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE,       inotify: [IN_DELETE]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
controls:
  - {kernel: bad, watch: IN_DELETE, verdict: affected, why: "it is known to be"}
expect:
  - {kernel: bad, watch: IN_DELETE, verdict: affected, why: "it is known to be"}
  - {kernel: bad, verdict: holds, why: "the check"}
  - {verdict: clean, why: "nothing else here is affected"}
`

// nights is a state directory with kernels that a test can change.
type nights struct {
	*bench
	images   map[string]string // kernel → sha256 of its image; "" cannot be had
	affected map[string]bool   // images that are
	weak     map[string]bool   // kernels whose cells stay inconclusive
	measured []string          // cells, in the last call
	stop     func(n int)       // called after each cell; may be nil
}

func newNights(t *testing.T) *nights {
	t.Helper()
	old := version
	version = "v1.0.0"
	t.Cleanup(func() { version = old })
	n := &nights{
		images:   map[string]string{"bad": "bad-image", "a": "a-image", "b": "b-image"},
		affected: map[string]bool{"bad-image": true}, weak: map[string]bool{},
	}
	n.bench = newBench(t, n.measure)
	n.matrix(nightMatrix)
	return n
}

func (n *nights) matrix(text string) {
	n.t.Helper()
	if err := os.WriteFile(n.path("matrix.yaml"), []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// measure does as runner.Run does: what is known of the same image is adopted.
func (n *nights) measure(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
	n.measured = nil
	stopped := &matrix.Failure{Side: matrix.SideHost, Reason: "interrupted before it was measured"}
	runs := pending(cfg.Plan, nil)
	for i := range runs {
		kr := &runs[i]
		image := n.images[kr.Kernel]
		if image == "" {
			kr.Error = &matrix.Failure{Side: matrix.SideKernel, Reason: "no such package"}
			cfg.OnEvent(runner.Event{Kernel: kr.Kernel, Run: kr})
			continue
		}
		kr.Provenance.SHA256 = image
		runner.Adopt(kr, cfg.Earlier)
		boot := len(kr.Boots)
		for k := range kr.Cells {
			c := &kr.Cells[k]
			if c.Outcome != nil {
				continue
			}
			if ctx.Err() != nil {
				c.Error, kr.Error = stopped, stopped
				continue
			}
			c.Boot, c.Outcome = boot, cleanOutcome()
			switch {
			case n.weak[kr.Kernel]:
				c.Outcome = inBlocks(4, matrix.Counts{Trials: 4, Contested: 1}, matrix.StopMaxTime)
			case n.affected[image] && c.Cell.Watch.Check == "open":
				c.Outcome = staleOutcome()
			case n.affected[image]:
				c.Outcome = inBlocks(8, matrix.Counts{Trials: 900, Contested: 900, Decisive: 900, Stale: 900, StaleDecisive: 900, Recognised: 900, RecognisedDecisive: 900}, matrix.StopRecognised)
			}
			n.measured = append(n.measured, c.Cell.ID())
			kr.Boots = append(kr.Boots[:boot:boot], matrix.Boot{Accel: "tcg", CPUModel: "Nehalem", QEMU: "7.2", End: "done"})
			kr.Witnesses = []matrix.Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Late}}
			if n.affected[image] {
				kr.Witnesses[0].Order = matrix.Early
			}
			snapshot := *kr
			snapshot.Cells = slices.Clone(kr.Cells)
			done := *c
			cfg.OnEvent(runner.Event{Kernel: kr.Kernel, Cell: &done, Run: &snapshot})
			if n.stop != nil {
				n.stop(len(n.measured))
			}
		}
		snapshot := *kr
		cfg.OnEvent(runner.Event{Kernel: kr.Kernel, Run: &snapshot})
	}
	return runs, ctx.Err()
}

func (n *nights) night(want int, args ...string) nightly.Night {
	n.t.Helper()
	return n.nightWith(context.Background(), want, args...)
}

func (n *nights) nightWith(ctx context.Context, want int, args ...string) nightly.Night {
	n.t.Helper()
	before := n.out.String()
	said := n.err.String()
	args = append([]string{"nightly", "-m", n.path("matrix.yaml"), "--state", n.path("state"), "--json"}, args...)
	if code := n.app.main(ctx, args); code != want {
		n.t.Fatalf("exit %d, want %d:\n%s\n%s", code, want, strings.TrimPrefix(n.out.String(), before), strings.TrimPrefix(n.err.String(), said))
	}
	var night nightly.Night
	if text := strings.TrimPrefix(n.out.String(), before); text != "" {
		if err := json.Unmarshal([]byte(text), &night); err != nil {
			n.t.Fatalf("%v: %s", err, text)
		}
	}
	return night
}

func (n *nights) report(id string) *reports.Report {
	n.t.Helper()
	r, err := reports.Load(n.path("state", "runs", id, "results.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func changes(n nightly.Night) []string {
	var out []string
	for _, d := range n.Diff.Differences {
		if d.Kind != matrix.DiffProvenance {
			out = append(out, string(d.Change)+" "+d.Cell)
		}
	}
	slices.Sort(out)
	return out
}

func TestANightMeasuresOnlyWhatIsNotDecided(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	if len(n.measured) != 6 || first.Baseline != "" || len(first.Carried) != 0 {
		t.Fatalf("first night: %d cells, baseline %q", len(n.measured), first.Baseline)
	}
	second := n.night(exitOK)
	if want := []string{"bad/tmpfs/unlink/IN_DELETE"}; !slices.Equal(n.measured, want) {
		t.Errorf("second night measured %v, want the control alone", n.measured)
	}
	if len(second.Carried) != 5 || second.Carried[0].Run != first.Run || second.Baseline != first.Run || len(changes(second)) != 0 {
		t.Errorf("second night: %+v", second)
	}
	for _, c := range n.report(second.Run).Cells {
		note := strings.Join(c.Verdict.Footnotes, "; ")
		if carried := c.ID() != n.measured[0]; carried != strings.Contains(note, "not measured again: run "+first.Run+" decided it") {
			t.Errorf("%s: the report says %q", c.ID(), note)
		}
	}
	third := n.night(exitOK)
	if len(third.Carried) != 5 || third.Carried[0].Run != first.Run {
		t.Errorf("third night: the evidence is not the first night's: %+v", third.Carried)
	}
	if boots := n.report(third.Run).Kernels[0].Boots; len(boots) > 2 {
		t.Errorf("%d boots pile up", len(boots))
	}
	n.images["a"] = "another image"
	n.night(exitOK)
	if want := []string{"a/tmpfs/unlink/IN_DELETE", "a/tmpfs/unlink/IN_DELETE+nlink", "bad/tmpfs/unlink/IN_DELETE"}; !slices.Equal(sorted(n.measured), want) {
		t.Errorf("with another image of a: measured %v", n.measured)
	}
	n.images["a"] = "a-image" // and back: the first night still knows it
	n.night(exitOK)
	if len(n.measured) != 1 {
		t.Errorf("with the first image again: measured %v", n.measured)
	}
	for what, args := range map[string][]string{"--force": {"--force"}, "an age of nothing": {"--max-age", "0s"}} {
		n.night(exitOK, args...)
		if len(n.measured) != 6 {
			t.Errorf("%s: %d cells measured", what, len(n.measured))
		}
	}
	n.matrix(strings.Replace(nightMatrix, "check: nlink", "check: getdents", 1))
	n.affected = map[string]bool{"bad-image": true}
	n.night(exitOK)
	for _, id := range []string{"a/tmpfs/unlink/IN_DELETE+nlink", "b/tmpfs/unlink/IN_DELETE+nlink"} {
		if !slices.Contains(n.measured, id) {
			t.Errorf("%s has another check and was not measured: %v", id, n.measured)
		}
	}
	version = "v1.0.1"
	n.night(exitOK)
	if len(n.measured) != 6 {
		t.Errorf("another version of kqual: %d cells measured", len(n.measured))
	}
	version = "v1.0.1-dirty"
	n.night(exitOK)
	n.night(exitOK)
	if len(n.measured) != 6 || !strings.Contains(n.err.String(), `version "v1.0.1-dirty" does not tell one kqual from another`) {
		t.Errorf("a dirty build: %d cells measured\n%s", len(n.measured), n.err.String())
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestANightEndsByWhatChanged(t *testing.T) {
	n := newNights(t)
	hook := "cat > " + n.path("hook.json") + "; echo $KQUAL_EXIT $KQUAL_RUN > " + n.path("hook.txt")
	first := n.night(exitOK, "--on-change", hook)
	if _, err := os.Stat(n.path("hook.json")); err == nil {
		t.Error("the hook was called on the first night")
	}
	// One kernel is replaced by an affected one under its name.
	n.images["b"] = "affected"
	n.affected["affected"] = true
	second := n.night(exitUnmet, "--on-change", hook)
	if want := []string{" b/tmpfs/unlink/IN_DELETE+nlink", "new b/tmpfs/unlink/IN_DELETE"}; !slices.Equal(changes(second), want) {
		t.Errorf("changes %q, want %q", changes(second), want)
	}
	var told nightly.Night
	data, err := os.ReadFile(n.path("hook.json"))
	if err != nil || json.Unmarshal(data, &told) != nil || !slices.Equal(changes(told), changes(second)) {
		t.Errorf("the hook was told %s, %v", data, err)
	}
	if line, _ := os.ReadFile(n.path("hook.txt")); string(line) != "1 "+second.Run+"\n" {
		t.Errorf("the hook's environment: %q", line)
	}
	// Fixed again, and another one cannot be had.
	n.images["b"], n.images["a"] = "b-image", ""
	third := n.night(exitNoAnswer)
	want := []string{
		" b/tmpfs/unlink/IN_DELETE+nlink", "fixed b/tmpfs/unlink/IN_DELETE",
		"lost coverage a/tmpfs/unlink/IN_DELETE", "lost coverage a/tmpfs/unlink/IN_DELETE+nlink",
	}
	if !slices.Equal(changes(third), want) {
		t.Errorf("changes %q, want %q", changes(third), want)
	}
	if third.Cells != 6 || third.Measured != 1 || len(third.Carried) != 3 { // two could not be
		t.Errorf("%d cells, %d measured, %d carried", third.Cells, third.Measured, len(third.Carried))
	}
	n.images["a"] = "a-image"
	n.night(exitOK)
	n.weak["a"] = true
	n.night(exitNoAnswer, "--force") // inconclusive is no pass
	n.weak["a"] = false
	n.night(exitOK, "--baseline", first.Run)
	n.night(exitUsage, "--baseline", "nobody")
	// A hook that fails is no success.
	n.images["a"], n.affected["a2"] = "a2", false
	n.images["b"] = ""
	n.night(exitNoAnswer)
	n.images["b"] = "b-image"
	n.night(exitNoAnswer, "--on-change", "exit 7")
	if !strings.Contains(n.err.String(), `--on-change "exit 7": exit status 7`) {
		t.Errorf("the failed hook is not mentioned:\n%s", n.err.String())
	}
	page, err := os.ReadFile(n.path("state", "index.html"))
	if err != nil || !strings.Contains(string(page), `href="runs/`+second.Run+`/report.html"`) || !strings.Contains(string(page), time.Now().UTC().Format("January 2006")) {
		t.Errorf("the index lacks the second night: %v", err)
	}
	for _, f := range []string{"report.html", "report.md", "results.json", "junit.xml", "summary.md", "changes.txt", "night.json"} {
		if st, err := os.Stat(n.path("state", "runs", second.Run, f)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestAKilledNightGoesOn(t *testing.T) {
	n := newNights(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.stop = func(done int) {
		if done == 3 {
			cancel()
		}
	}
	n.nightWith(ctx, exitInterrupted)
	n.stop = nil
	first := n.night(exitOK)
	if len(n.measured) != 3 || !strings.Contains(n.err.String(), "going on with night "+first.Run) {
		t.Errorf("measured %v\n%s", n.measured, n.err.String())
	}
	if runs, _ := nightly.Nights(n.path("state")); len(runs) != 1 {
		t.Errorf("nights %v", runs)
	}
	// Killed after it was measured: before it was filed, and after.
	for _, filed := range []bool{true, false} {
		if err := os.Remove(n.path("state", "runs", first.Run, "night.json")); err != nil {
			t.Fatal(err)
		}
		if !filed {
			for _, suffix := range []string{"", "-wal", "-shm", ".checked"} {
				_ = os.Remove(n.path("state", history.Name+suffix))
			}
		}
		n.measured = nil
		if again := n.night(exitOK); again.Run != first.Run || len(n.measured) != 0 {
			t.Errorf("filed %v: night %s, measured %v", filed, again.Run, n.measured)
		}
	}
	// An unfinished night of another matrix is left alone.
	if err := os.Remove(n.path("state", "runs", first.Run, "night.json")); err != nil {
		t.Fatal(err)
	}
	n.matrix(nightMatrix + "# changed\n")
	if next := n.night(exitOK); next.Run == first.Run || !strings.Contains(n.err.String(), "is unfinished and stays so: it is of another matrix file") {
		t.Errorf("night %s\n%s", next.Run, n.err.String())
	}
}

func TestASecondNightlySaysSoAndStops(t *testing.T) {
	n := newNights(t)
	n.stop = func(done int) {
		if done > 1 {
			return
		}
		var out, errs lockedBuffer
		second := &app{Stdio: Stdio{Out: &out, Err: &errs}, measure: func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
			t.Error("it measures")
			return nil, nil
		}}
		code := second.main(context.Background(), []string{"nightly", "-m", n.path("matrix.yaml"), "--state", n.path("state")})
		if code != exitNoAnswer || !strings.Contains(errs.String(), "another kqual nightly is at work in "+n.path("state")) {
			t.Errorf("exit %d: %s", code, errs.String())
		}
	}
	n.night(exitOK)
}

func TestOldNightsAreRemovedAndTaggedOnesStay(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	if code := n.app.main(context.Background(), []string{"history", "tag", first.Run, "good", "--state", n.path("state")}); code != exitOK {
		t.Fatalf("exit %d: %s", code, n.err.String())
	}
	n.out = lockedBuffer{}
	second := n.night(exitOK)
	n.night(exitOK, "--keep", "2")
	fourth := n.night(exitOK, "--keep", "1")
	left, err := nightly.Nights(n.path("state"))
	if err != nil || !slices.Equal(left, []string{first.Run, fourth.Run}) {
		t.Errorf("left %v, %v", left, err)
	}
	if again := n.night(exitOK, "--baseline", second.Run); again.Baseline != second.Run || len(changes(again)) != 0 {
		t.Errorf("the history forgot %s", second.Run)
	}
}

func TestADamagedHistoryIsFilledAgain(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	path := n.path("state", history.Name)
	if err := os.WriteFile(path, []byte(strings.Repeat("junk", 5000)), 0o644); err != nil {
		t.Fatal(err)
	}
	second := n.night(exitOK)
	if second.Baseline != first.Run || !strings.Contains(n.err.String(), "1 night filed again from ") {
		t.Errorf("baseline %q\n%s", second.Baseline, n.err.String())
	}
	if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}

func TestTheNightsTextSaysHowOldTheRestIs(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	n.out = lockedBuffer{}
	if code := n.app.main(context.Background(), []string{"nightly", "-m", n.path("matrix.yaml"), "--state", n.path("state")}); code != exitOK {
		t.Fatalf("exit %d: %s", code, n.err.String())
	}
	nights, err := nightly.Nights(n.path("state"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(n.path("state", "runs", nights[len(nights)-1], "changes.txt")); err != nil || string(text) != n.out.String() {
		t.Errorf("changes.txt is not what was printed: %v\n%s", err, text)
	}
	for _, want := range []string{
		"1 of 6 cells measured, 5 taken over\n", "compared with " + first.Run + ":\n", "6 cells in common: 0 worse",
		"a/tmpfs/unlink/IN_DELETE          decided by " + first.Run, " s ago\n", "all 6 cells met their expectations (exit 0)\n",
	} {
		if !strings.Contains(n.out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, n.out.String())
		}
	}
}

func TestANightThatTheHostPreventedIsMeasuredLater(t *testing.T) {
	n := newNights(t)
	n.app.measure = func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
		return nil, &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU is not installed"}
	}
	n.night(exitNoAnswer)
	n.app.measure = n.measure
	first := n.night(exitOK)
	if nights, err := nightly.Nights(n.path("state")); err != nil || !slices.Equal(nights, []string{first.Run}) || len(n.measured) != 6 {
		t.Errorf("nights %v, %v; measured %v", nights, err, n.measured)
	}
}

// Killed after it was measured, a night of another day is finished, and then
// tonight has its turn.
func TestANightOfYesterdayIsFinishedBeforeTonight(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly) + "-1"
	if err := os.Rename(n.path("state", "runs", first.Run), n.path("state", "runs", yesterday)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(n.path("state", "runs", yesterday, "night.json")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".checked"} {
		_ = os.Remove(n.path("state", history.Name+suffix))
	}
	n.measured = nil
	second := n.night(exitOK)
	if second.Run != first.Run || second.Baseline != yesterday || len(n.measured) != 1 || len(second.Carried) != 5 {
		t.Errorf("night %s, compared with %q, measured %v", second.Run, second.Baseline, n.measured)
	}
	if _, err := os.Stat(n.path("state", "runs", yesterday, "night.json")); err != nil {
		t.Error(err)
	}
}
