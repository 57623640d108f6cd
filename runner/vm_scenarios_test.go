package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kqual/matrix"
)

// scenarioMatrix is one kernel with every scenario that trials run in step;
// each watch is planned where it has the deciding event.
func scenarioMatrix(kernel, filesystem, scenarios, watches string) string {
	return fmt.Sprintf(`version: 1
name: test
sampling: {max_time: 20s}
kernels:
  - name: k
    %s
filesystems: [%s]
scenarios: [%s]
watches:
%s`, kernel, filesystem, scenarios, watches)
}

const (
	brokenScenarios  = "unlink, rmdir, hardlink, batch, recreate, open-writer"
	controlScenarios = "rename-over, moved-from, delete-self"
	scenarioWatches  = `  - {name: DELETE, inotify: [IN_DELETE]}
  - {name: MOVED_TO, inotify: [IN_MOVED_TO]}
  - {name: MOVED_FROM, inotify: [IN_MOVED_FROM]}
  - {name: DELETE_SELF, inotify: [IN_DELETE_SELF]}
`
)

// judged runs a matrix of one kernel and hands every cell with its verdict to f.
func judged(t *testing.T, text string, f func(c matrix.CellRun, v matrix.Verdict)) matrix.KernelRun {
	t.Helper()
	cfg, cat := testRun(t, text)
	return judgedRun(t, cfg, cat, f)
}

func judgedRun(t testing.TB, cfg Config, cat matrix.Catalog, f func(c matrix.CellRun, v matrix.Verdict)) matrix.KernelRun {
	t.Helper()
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range matrix.Judge(runs[0], cfg.Sampling, cat) {
		c := runs[0].Cells[i]
		line := fmt.Sprintf("%s %s %s: %s", c.Cell.Filesystem, c.Cell.Scenario, c.Cell.Watch.Name, matrix.VerdictText(v))
		if o := c.Outcome; o != nil {
			n := o.Counts
			line += fmt.Sprintf("; %d trials, %d contested, %d decisive, %d stale, %d stale decisive, %d foreign, %d lost, %d duplicates, %d overflows, %d blocks, set-up %v, trials %v",
				n.Trials, n.Contested, n.Decisive, n.Stale, n.StaleDecisive, n.Foreign, n.Lost, n.Duplicates, n.Overflows, len(o.Blocks), o.Setup, o.Elapsed)
		}
		t.Log(line)
		f(c, v)
	}
	return runs[0]
}

// On an affected kernel every removal is affected, and what never was broken
// is clean; on fixed kernels everything is clean.
func TestVMEveryScenarioTellsAffectedFromFixed(t *testing.T) {
	needVM(t)
	type row struct {
		name, kernel, filesystems string
		affected                  bool
		order                     matrix.Order
	}
	rows := []row{
		{"affected", affected, "tmpfs, ext4, xfs, btrfs, overlay-upper", true, matrix.Early},
		// overlayfs drops the dentry itself, whatever the scenario.
		{"affected, merged", affected, "overlay", false, matrix.NotApplicable},
		{"5.10 fixed", debian11, "tmpfs", false, matrix.Late},
		{"6.1", debian12, "ext4", false, matrix.Late},
	}
	if os.Getenv("KQUAL_FULL") == "1" {
		rows = []row{
			rows[0], rows[1],
			{"5.10 fixed", debian11, "tmpfs, ext4", false, matrix.Late},
			{"6.1", debian12, "tmpfs, ext4", false, matrix.Late},
			{"6.12", debian13, "tmpfs, ext4", false, matrix.Late},
			{"7.x", debian13Backports, "tmpfs, ext4", false, matrix.Late},
		}
	}
	for _, k := range rows {
		t.Run(k.name, func(t *testing.T) {
			text := scenarioMatrix(k.kernel, k.filesystems, brokenScenarios+", "+controlScenarios, scenarioWatches)
			text = strings.Replace(text, "{max_time", "{detection_limit: 0.5%, max_time", 1)
			run := judged(t, text, func(c matrix.CellRun, v matrix.Verdict) {
				want := matrix.VerdictClean
				if k.affected && strings.Contains(brokenScenarios, c.Cell.Scenario) {
					want = matrix.VerdictAffected
				}
				if v.Kind != want {
					t.Errorf("%s %s: %s, want %s", c.Cell.Filesystem, c.Cell.Scenario, matrix.VerdictText(v), want)
				}
				if o := c.Outcome; o != nil && o.Counts.Foreign+o.Counts.Duplicates+o.Counts.FalseAlarms > 0 {
					t.Errorf("%s %s: %+v", c.Cell.Filesystem, c.Cell.Scenario, o.Counts)
				}
			})
			if want := 2 * (1 + strings.Count(k.filesystems, ",")); len(run.Witnesses) != want {
				t.Errorf("%d order witnesses, want %d: unlink and rmdir on each filesystem", len(run.Witnesses), want)
			}
			for _, w := range run.Witnesses {
				if w.Order != k.order {
					t.Errorf("%s %s: order %s (%v), want %s", w.Filesystem, w.Kind, w.Order, w.Events, k.order)
				}
			}
		})
	}
}

// Where another link remains, st_nlink says nothing; the directory's lock and
// the target's handle still do.
func TestVMAnotherLinkBlindsOnlyNlink(t *testing.T) {
	needVM(t)
	want := map[string]matrix.VerdictKind{
		"hardlink nlink": matrix.VerdictAffected, "hardlink getdents": matrix.VerdictHolds, "hardlink target_fid": matrix.VerdictHolds,
		"open-writer nlink": matrix.VerdictHolds, "open-writer getdents": matrix.VerdictHolds, "open-writer target_fid": matrix.VerdictHolds,
		"rmdir nlink": matrix.VerdictHolds, "rmdir getdents": matrix.VerdictHolds, "rmdir target_fid": matrix.VerdictHolds,
	}
	judged(t, scenarioMatrix(affected, "ext4", "hardlink, open-writer, rmdir", `  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: nlink, inotify: [IN_DELETE], check: nlink}
  - {name: getdents, inotify: [IN_DELETE], check: getdents}
  - {name: target_fid, fanotify: {init: [FAN_REPORT_DFID_NAME_TARGET], mask: [FAN_DELETE, FAN_ONDIR]}, check: target_fid}
`), func(c matrix.CellRun, v matrix.Verdict) {
		w, ok := want[c.Cell.Scenario+" "+c.Cell.Watch.Name]
		if !ok {
			w = matrix.VerdictAffected // the plain watches
		}
		if v.Kind != w {
			t.Errorf("%s %s: %s, want %s", c.Cell.Scenario, c.Cell.Watch.Name, matrix.VerdictText(v), w)
		}
	})
}

// stressed builds the guest that makes life hard for itself in one way before
// it measures.
func stressed(t *testing.T, mode string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stressed")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.mode="+mode, "-o", path, "./testdata/stressed")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the stressed guest: %v\n%s", err, out)
	}
	return path
}

// Whatever is short in the guest, a verdict is right or says that it is none.
func TestVMAStressedGuestNeverGivesAWrongVerdict(t *testing.T) {
	needVM(t)
	const someMatrix = `  - {name: DELETE, inotify: [IN_DELETE]}
  - {name: MOVED_TO, inotify: [IN_MOVED_TO]}
  - {name: getdents, inotify: [IN_DELETE], check: getdents}
`
	right := map[string]matrix.VerdictKind{
		"affected unlink DELETE": matrix.VerdictAffected, "affected unlink getdents": matrix.VerdictHolds,
		"affected rename-over MOVED_TO": matrix.VerdictClean,
		"fixed unlink DELETE":           matrix.VerdictClean, "fixed unlink getdents": matrix.VerdictClean,
		"fixed rename-over MOVED_TO": matrix.VerdictClean,
	}
	for _, tt := range []struct {
		name, mode, machine string
		// seen says whether the stress was felt at all: a test that stresses
		// nothing proves nothing.
		seen func(c matrix.CellRun, v matrix.Verdict) bool
		busy int // processes that keep a host core busy
	}{
		{name: "no event fits the queue", mode: "queue0", seen: func(c matrix.CellRun, v matrix.Verdict) bool {
			return c.Outcome != nil && c.Outcome.Counts.Overflows > 0 && v.Kind == matrix.VerdictInconclusive
		}},
		{name: "a queue of one", mode: "queue1"},
		{name: "no instance is left", mode: "instances0", seen: func(c matrix.CellRun, v matrix.Verdict) bool {
			return v.Kind == matrix.VerdictError && strings.Contains(v.Reason, "too many open files")
		}},
		{name: "three instances are left", mode: "instances3", seen: func(c matrix.CellRun, _ matrix.Verdict) bool {
			return c.Outcome != nil && len(c.Outcome.Blocks) > 0 && c.Outcome.Blocks[0].Groups <= 3
		}},
		{name: "a full tmpfs", mode: "full", seen: func(c matrix.CellRun, v matrix.Verdict) bool {
			return v.Kind == matrix.VerdictError && strings.Contains(v.Reason, "no space left on device")
		}},
		{name: "one CPU", machine: "machine: {vcpus: 1}", seen: func(c matrix.CellRun, _ matrix.Verdict) bool {
			return c.Outcome != nil && c.Outcome.Counts.Decisive < c.Outcome.Counts.Trials
		}},
		{name: "four CPUs", machine: "machine: {vcpus: 4}"},
		{name: "a loaded host", busy: 2},
	} {
		for name, kernel := range map[string]string{"affected": affected, "fixed": debian11} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				text := scenarioMatrix(kernel, "tmpfs", "unlink, rename-over", someMatrix)
				text = strings.Replace(text, "max_time: 20s}", "detection_limit: 0.5%, max_time: 4s}\n"+tt.machine, 1)
				keepBusy(t, tt.busy)
				cfg, cat := testRun(t, text)
				if tt.mode != "" {
					cfg.Guest = stressed(t, tt.mode)
				}
				seen := tt.seen == nil
				judgedRun(t, cfg, cat, func(c matrix.CellRun, v matrix.Verdict) {
					seen = seen || tt.seen(c, v)
					want := right[name+" "+c.Cell.Scenario+" "+c.Cell.Watch.Name]
					switch {
					case v.Kind == want:
					case (v.Kind == matrix.VerdictInconclusive || v.Kind == matrix.VerdictError) && v.Reason != "":
					default:
						t.Errorf("%s %s: %s, want %s or a reason for none", c.Cell.Scenario, c.Cell.Watch.Name, matrix.VerdictText(v), want)
					}
				})
				// An affected cell can be decided before the tmpfs is full.
				if !seen && (tt.mode != "full" || name == "fixed") {
					t.Error("the stress was not felt")
				}
			})
		}
	}
}

// An affected kernel's natural rate is small, and a fixed kernel has none.
func TestVMTheNaturalRateIsMeasured(t *testing.T) {
	needVM(t)
	for name, kernel := range map[string]string{"affected": affected, "fixed": debian11} {
		t.Run(name, func(t *testing.T) {
			text := scenarioMatrix(kernel, "tmpfs", "indelchurn, indelchurn-batch, inotify11", "  - {name: DELETE, inotify: [IN_DELETE]}\n")
			judged(t, text, func(c matrix.CellRun, _ matrix.Verdict) {
				o := c.Outcome
				if o == nil || o.Status != matrix.Measured {
					t.Fatalf("%s: %+v, %v", c.Cell.Scenario, o, c.Error)
				}
				n := o.Counts
				if n.Trials < 9999 || n.Decisive != 0 || n.Foreign != 0 || n.Lost != 0 || n.Overflows != 0 {
					t.Errorf("%s: %+v", c.Cell.Scenario, n)
				}
				if name == "fixed" && n.Stale > 0 {
					t.Errorf("%s: %d stale on a fixed kernel", c.Cell.Scenario, n.Stale)
				}
			})
		})
	}
}
