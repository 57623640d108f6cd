package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

const smallMatrix = `version: 1
name: small
kernels:
  - {name: a, file: {vmlinuz: /boot/a}}
  - {name: b, file: {vmlinuz: /boot/b}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE,       inotify: [IN_DELETE]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
expect:
  - {verdict: clean, why: "nothing here is affected"}
`

// lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bench is a kqual with a runner of its own, in a directory of its own.
type bench struct {
	t        *testing.T
	dir      string
	out, err lockedBuffer
	app      *app
}

func newBench(t *testing.T, measure func(context.Context, runner.Config) ([]matrix.KernelRun, error)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	t.Setenv("KQUAL_CACHE", filepath.Join(b.dir, "cache"))
	if err := os.WriteFile(filepath.Join(b.dir, "matrix.yaml"), []byte(smallMatrix), 0o644); err != nil {
		t.Fatal(err)
	}
	b.app = &app{Stdio: Stdio{Out: &b.out, Err: &b.err}, measure: measure}
	return b
}

func (b *bench) run(ctx context.Context, args ...string) int {
	b.t.Helper()
	args = append([]string{"run", "--matrix", filepath.Join(b.dir, "matrix.yaml"), "--out", b.path("out")}, args...)
	return b.app.main(ctx, args)
}

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

func (b *bench) load() *reports.Report {
	b.t.Helper()
	r, err := reports.Load(b.path("out", "results.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func cleanOutcome() *matrix.Outcome {
	return inBlocks(4, matrix.Counts{Trials: 1200, Contested: 1180, Decisive: 1150}, matrix.StopRuledOut)
}

func staleOutcome() *matrix.Outcome {
	return inBlocks(8, matrix.Counts{Trials: 17, Contested: 16, Decisive: 16, Stale: 16, StaleDecisive: 16}, matrix.StopAffected)
}

// inBlocks is an outcome of so many blocks of c each.
func inBlocks(blocks int, c matrix.Counts, stop matrix.StopReason) *matrix.Outcome {
	o := &matrix.Outcome{Status: matrix.Measured, Stop: stop, Setup: 200 * time.Millisecond, Elapsed: 600 * time.Millisecond}
	for range blocks {
		o.Blocks = append(o.Blocks, matrix.Block{Counts: c, Groups: 65, Sentinel: 38})
		o.Counts.Add(c)
	}
	return o
}

// fake runs a plan as runner.Run does, with outcomes from outcome. after is
// called after every cell; it may be nil.
func fake(outcome func(matrix.Cell) *matrix.Outcome, after func(ctx context.Context, n int)) func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
	return func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		runs := pending(cfg.Plan, nil)
		n := 0
		stopped := &matrix.Failure{Side: matrix.SideHost, Reason: "interrupted before it was measured"}
		for i := range runs {
			kr := &runs[i]
			name := kr.Kernel
			if ctx.Err() == nil {
				cfg.OnEvent(runner.Event{Kernel: name, Fetch: &kernels.Event{Kernel: name, Step: "download " + name, Done: 1 << 20, Total: 3 << 20}})
				cfg.OnEvent(runner.Event{Kernel: name, Fetch: &kernels.Event{Kernel: name, Step: "download " + name, Done: 3 << 20, Total: 3 << 20, End: true}})
				cfg.OnEvent(runner.Event{Kernel: name, Boot: &matrix.Boot{Release: "6.1.0-" + name, CPUs: 2, Clocksource: "tsc"}})
				kr.Witnesses = []matrix.Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Late}}
			}
			for k := range kr.Cells {
				if ctx.Err() != nil {
					kr.Cells[k].Error = stopped
					continue
				}
				c := kr.Cells[k].Cell
				cfg.OnEvent(runner.Event{Kernel: name, Begin: &c})
				kr.Cells[k].Outcome = outcome(c)
				done, snapshot := kr.Cells[k], *kr
				snapshot.Cells = append([]matrix.CellRun(nil), kr.Cells...)
				cfg.OnEvent(runner.Event{Kernel: name, Cell: &done, Run: &snapshot})
				n++
				if after != nil {
					after(ctx, n)
				}
			}
			if ctx.Err() != nil {
				kr.Error = stopped
			}
			kr.Boots = []matrix.Boot{{Accel: "tcg", QEMU: "7.2.22", Release: "6.1.0-" + name, FirstRecord: time.Second, Cells: time.Second, End: "done"}}
			snapshot := *kr
			cfg.OnEvent(runner.Event{Kernel: name, Run: &snapshot})
		}
		return runs, ctx.Err()
	}
}

func TestRunPrintsTheTableAndSavesReports(t *testing.T) {
	b := newBench(t, fake(func(matrix.Cell) *matrix.Outcome { return cleanOutcome() }, nil))
	if code := b.run(context.Background(), "-o", "markdown="+b.path("extra.md")); code != exitOK {
		t.Fatalf("exit %d, stderr:\n%s", code, b.err.String())
	}
	for _, want := range []string{"small: 2 kernels, 4 cells, tcg, QEMU 7.2.22\n", "PASS: all 4 cells met their expectations (exit 0)\n"} {
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("stdout has no %q:\n%s", want, b.out.String())
		}
	}
	cells := `a 6.1.0-a tmpfs/unlink IN_DELETE: clean <0.1 % (0/4600)  0.8 s
a 6.1.0-a tmpfs/unlink IN_DELETE+nlink: clean <0.1 % (0/4600)  0.8 s
b 6.1.0-b tmpfs/unlink IN_DELETE: clean <0.1 % (0/4600)  0.8 s
b 6.1.0-b tmpfs/unlink IN_DELETE+nlink: clean <0.1 % (0/4600)  0.8 s
`
	got := b.err.String()
	for _, step := range []string{"a: download a (3.1 MB)\n", "b: download b (3.1 MB)\n"} {
		if !strings.Contains(got, step) {
			t.Errorf("stderr lacks %q", step)
		}
		got = strings.Replace(got, step, "", 1) // a cell is told when it is saved, and so maybe later
	}
	if got != cells {
		t.Errorf("stderr without the downloads is\n%swant\n%s", got, cells)
	}
	if r := b.load(); r.State != reports.StateDone || len(r.Cells) != 4 {
		t.Errorf("results.json has state %s and %d cells", r.State, len(r.Cells))
	}
	a, _ := os.ReadFile(b.path("out", "report.md"))
	c, _ := os.ReadFile(b.path("extra.md"))
	if len(a) == 0 || !bytes.Equal(a, c) {
		t.Errorf("out/report.md and -o markdown differ or are empty")
	}
}

func TestRunExitCodes(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome func(matrix.Cell) *matrix.Outcome
		want    int
	}{
		{"an unmet expectation", func(matrix.Cell) *matrix.Outcome { return staleOutcome() }, exitUnmet},
		{"no answer", func(matrix.Cell) *matrix.Outcome {
			return &matrix.Outcome{Status: matrix.Failed, Failure: "no room"}
		}, exitNoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, fake(c.outcome, nil))
			if got := b.run(context.Background(), "--json"); got != c.want {
				t.Errorf("exit %d, want %d; stderr:\n%s", got, c.want, b.err.String())
			}
			saved, err := os.ReadFile(b.path("out", "results.json"))
			if err != nil {
				t.Fatal(err)
			}
			if b.out.String() != string(saved) {
				t.Error("--json prints something else than results.json")
			}
		})
	}
}

func TestInterruptedRunKeepsFinishedCells(t *testing.T) {
	b := newBench(t, fake(
		func(matrix.Cell) *matrix.Outcome { return cleanOutcome() },
		func(ctx context.Context, n int) {
			if n == 3 {
				if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
					t.Error(err)
				}
				<-ctx.Done()
			}
		},
	))
	if code := b.run(context.Background()); code != exitInterrupted {
		t.Fatalf("exit %d, want %d; stderr:\n%s", code, exitInterrupted, b.err.String())
	}
	if want := "INTERRUPTED: 3 of 4 cells finished before the interruption; of these, all 3 cells met their expectations (exit 130)"; !strings.Contains(b.out.String(), want) {
		t.Errorf("stdout has no %q:\n%s", want, b.out.String())
	}
	r := b.load()
	if r.State != reports.StateInterrupted || len(r.Cells) != 3 || len(r.Missing) != 1 {
		t.Errorf("results.json has state %s, %d cells and %d missing", r.State, len(r.Cells), len(r.Missing))
	}
	if strings.Count(b.err.String(), "interrupted") != 1 || !strings.Contains(b.err.String(), "kqual: interrupted: stopping") {
		t.Errorf("stderr does not say so:\n%s", b.err.String())
	}
}

func TestResultsAreSavedCellByCell(t *testing.T) {
	var b *bench
	b = newBench(t, fake(
		func(matrix.Cell) *matrix.Outcome { return cleanOutcome() },
		func(_ context.Context, n int) {
			deadline := time.Now().Add(10 * time.Second)
			for time.Now().Before(deadline) {
				if r, err := reports.Load(b.path("out", "results.json")); err == nil && len(r.Cells) == n {
					if r.State != reports.StateRunning || len(r.Missing) != 4-n {
						t.Errorf("after %d cells: state %s, %d missing", n, r.State, len(r.Missing))
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Errorf("after %d cells results.json does not have them", n)
		},
	))
	if code := b.run(context.Background()); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

func TestRunSaysWhyAKernelHasNoAnswer(t *testing.T) {
	why := &matrix.Failure{Side: matrix.SideBoot, Reason: "panic: no init \x1b[2J", Log: "out/logs/a.log", Hint: "look at the log"}
	b := newBench(t, func(_ context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		runs := pending(cfg.Plan, nil)
		for i := range runs {
			runs[i].Error = why
			cfg.OnEvent(runner.Event{Kernel: runs[i].Kernel, Run: &runs[i]})
		}
		return runs, nil
	})
	if code := b.run(context.Background()); code != exitNoAnswer {
		t.Errorf("exit %d, want %d", code, exitNoAnswer)
	}
	if want := `a: error: panic: no init \x1b[2J; look at the log (see out/logs/a.log)` + "\n"; !strings.HasPrefix(b.err.String(), want) {
		t.Errorf("stderr is %q, want %q first", b.err.String(), want)
	}
}

func TestHostFailureEndsTheRun(t *testing.T) {
	b := newBench(t, func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
		return nil, &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU is not installed", Hint: "apt-get install qemu"}
	})
	if code := b.run(context.Background()); code != exitNoAnswer {
		t.Errorf("exit %d, want %d", code, exitNoAnswer)
	}
	if got, want := b.err.String(), "kqual: QEMU is not installed; apt-get install qemu\n"; got != want {
		t.Errorf("stderr is %q, want %q", got, want)
	}
	if b.out.String() != "" {
		t.Errorf("stdout is %q, want nothing", b.out.String())
	}
	for _, c := range b.load().Cells {
		if c.Verdict.Reason != "QEMU is not installed" {
			t.Errorf("results.json says %q", c.Verdict.Reason)
		}
	}
}

func TestTwoRunsDoNotShareADirectory(t *testing.T) {
	var b *bench
	b = newBench(t, func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		var out, errs lockedBuffer
		second := &app{Stdio: Stdio{Out: &out, Err: &errs}, measure: func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
			return nil, errors.New("must not start")
		}}
		code := second.main(ctx, []string{"run", "--matrix", b.path("matrix.yaml"), "--out", b.path("out")})
		if code != exitUsage || !strings.Contains(errs.String(), "another kqual run is writing to") {
			t.Errorf("the second run: exit %d, %s", code, errs.String())
		}
		return fake(func(matrix.Cell) *matrix.Outcome { return cleanOutcome() }, nil)(ctx, cfg)
	})
	if code := b.run(context.Background()); code != exitOK {
		t.Errorf("exit %d: %s", code, b.err.String())
	}
}

func TestResumeMeasuresOnlyWhatHasNoAnswer(t *testing.T) {
	b := newBench(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.app.measure = fake(func(matrix.Cell) *matrix.Outcome { return cleanOutcome() }, func(_ context.Context, n int) {
		if n == 3 {
			cancel()
		}
	})
	withProvenance := func(measure func(context.Context, runner.Config) ([]matrix.KernelRun, error)) func(context.Context, runner.Config) ([]matrix.KernelRun, error) {
		return func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
			runs, err := measure(ctx, cfg)
			for i := range runs {
				runs[i].Provenance.SHA256 = "of " + runs[i].Kernel
			}
			return runs, err
		}
	}
	b.app.measure = withProvenance(b.app.measure)
	if code := b.run(ctx); code != exitInterrupted {
		t.Fatalf("exit %d, stderr:\n%s", code, b.err.String())
	}
	var known int
	b.app.measure = withProvenance(func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		runs := pending(cfg.Plan, cfg.Earlier)
		for i := range runs {
			for k := range runs[i].Cells {
				if runs[i].Cells[k].Outcome != nil {
					known++
				} else {
					runs[i].Cells[k].Outcome = cleanOutcome()
				}
			}
			runs[i].Witnesses = []matrix.Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Late}}
		}
		return runs, nil
	})
	if code := b.run(context.Background(), "--resume"); code != exitOK {
		t.Fatalf("exit %d, stderr:\n%s", code, b.err.String())
	}
	if known != 3 {
		t.Errorf("%d outcomes were known, want 3", known)
	}
	if r := b.load(); r.State != reports.StateDone || len(r.Cells) != 4 || r.Earlier == 0 {
		t.Errorf("state %s, %d cells, %v before", r.State, len(r.Cells), r.Earlier)
	}
}

func TestResumeRefusesWhatIsNotTheSameRun(t *testing.T) {
	b := newBench(t, fake(func(matrix.Cell) *matrix.Outcome { return cleanOutcome() }, nil))
	refused := func(want string, args ...string) {
		t.Helper()
		before := b.err.String()
		if code := b.run(context.Background(), append(args, "--resume")...); code != exitUsage {
			t.Errorf("exit %d", code)
		}
		if said := strings.TrimPrefix(b.err.String(), before); !strings.Contains(said, want) {
			t.Errorf("it said %q, want %q", said, want)
		}
	}
	refused("there is no ")
	if code := b.run(context.Background()); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	refused("is not selected now", "--only", "kernel=a")
	if err := os.WriteFile(b.path("matrix.yaml"), []byte(smallMatrix+"# changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("is of another ")
}

// savedBefore looks, at each line about a cell, whether results.json has it.
type savedBefore struct {
	t    *testing.T
	path string
	told int
}

func (s *savedBefore) Write(p []byte) (int, error) {
	if text := string(p); strings.Contains(text, "/unlink IN_DELETE") {
		s.told++
		r, err := reports.Load(s.path)
		if err != nil {
			s.t.Error(err)
			return len(p), nil
		}
		kernel, rest, _ := strings.Cut(text, " ")
		watch, _, _ := strings.Cut(strings.Fields(rest)[2], ":")
		found := false
		for _, k := range r.Kernels {
			for _, c := range k.Cells {
				found = found || k.Kernel == kernel && c.Cell.Watch.Name == watch && c.Outcome != nil
			}
		}
		if !found {
			s.t.Errorf("said to be finished and not saved: %s", text)
		}
	}
	return len(p), nil
}

func TestACellIsSavedBeforeItIsToldOf(t *testing.T) {
	b := newBench(t, fake(func(matrix.Cell) *matrix.Outcome { return cleanOutcome() }, nil))
	s := &savedBefore{t: t, path: b.path("out", "results.json")}
	b.app.Err = s
	if code := b.run(context.Background()); code != exitOK || s.told != 4 {
		t.Errorf("exit %d, told of %d cells, want 4", code, s.told)
	}
}
