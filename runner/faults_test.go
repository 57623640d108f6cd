package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"kqual/matrix"
)

// The phases of a boot in which a fault can strike; testdata/faulty knows them,
// too. The cells of the boot are plain, victim and after.
const (
	atBoot     = "boot"     // before the guest says hello
	atStart    = "start"    // after hello, before a cell
	atSetup    = "setup"    // the victim is set up
	atTrials   = "trials"   // between two trials of the victim
	atBetween  = "between"  // the victim is answered, a cell is left
	atTeardown = "teardown" // all cells are answered
	atEnd      = "end"      // the guest said done
)

var everyPhase = []string{atBoot, atStart, atSetup, atTrials, atBetween, atTeardown, atEnd}

// fault is a class of faults: one row of docs/faults.md. Exactly one of fails,
// marks and harmless says what it does.
type fault struct {
	name  string
	means string   // how it is made
	at    []string // phases; the first is that of make test
	// fails is what every failure it makes says, a regular expression; side is
	// whose it is, where that is not told by the phase.
	fails string
	side  matrix.Side
	// again says that the failure may be the host's bad luck: outside of cells
	// the kernel is booted once more.
	again bool
	// marks is the kind of trouble that the victim is marked with.
	marks    string
	harmless bool
	// kernel is what makes the trouble, faultKernel where it is nil; machine is what
	// is special about its machine, as YAML.
	kernel  func(testing.TB) string
	machine string
	// signal is sent to QEMU when the guest has announced the fault.
	signal syscall.Signal
	// unannounced faults are in the machine, not in the guest: they strike at
	// every boot.
	unannounced bool
	// boots is how many boots a kernel gets that never comes to its cells; 0
	// for 1, or 2 where again is set.
	boots int
	// emulator says that it is known for QEMU's.
	emulator bool
	// goesOn says that the kernel itself has no error, though no cell is answered.
	goesOn bool
}

// expected cells and their right verdicts on the affected kernel.
var faultCells = []struct {
	watch string
	right matrix.VerdictKind
}{
	{"IN_DELETE", matrix.VerdictAffected},
	{"victim", matrix.VerdictHolds},
	{"after", matrix.VerdictHolds},
}

const (
	plainCell = iota
	victimCell
)

// faultKernel is the affected kernel with what makes trouble in it.
func faultKernel(t testing.TB) string {
	t.Helper()
	return "build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected, " +
		testdata(t, "patches/trouble.patch") + "]}"
}

// testdata is the absolute path of a file below testdata.
func testdata(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// source is the kernel that an injection boots, as YAML.
func (i injection) source(t testing.TB) string {
	if i.kernel != nil {
		return i.kernel(t)
	}
	return faultKernel(t)
}

// injection is a fault at a phase: one kernel of the run.
type injection struct {
	*fault
	phase string
	once  bool // in the first boot only
	rep   int
}

// id is the name of its kernel.
func (i injection) id() string {
	mode := "ever"
	if i.once {
		mode = "once"
	}
	return fmt.Sprintf("%s.%s.%s%d", i.name, i.phase, mode, i.rep)
}

// injections are those of make test, each fault at one phase, or with
// KQUAL_FULL=1 each at all its phases, in every boot and in the first one only.
func injections(faults []fault) []injection {
	full := os.Getenv("KQUAL_FULL") == "1"
	var list []injection
	for i := range faults {
		f := &faults[i]
		for _, phase := range f.at {
			list = append(list, injection{fault: f, phase: phase})
			if !full {
				break
			}
			if f.fails != "" && (phase == atSetup || phase == atTrials) {
				list = append(list, injection{fault: f, phase: phase, once: true})
			}
		}
	}
	return list
}

// faultMatrix is a matrix with faultCells on these kernels.
func faultMatrix(kernels string) string {
	return `version: 1
name: faults
machine: {accel: tcg, memory: 256MiB}
sampling: {detection_limit: 2%}
kernels:
` + kernels + `filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: victim, inotify: [IN_DELETE], check: nlink}
  - {name: after, inotify: [IN_DELETE], check: getdents}
`
}

// injected is what came of a run with faults.
type injected struct {
	cfg   Config
	cat   matrix.Catalog
	runs  []matrix.KernelRun // of the faults, in their order, and of the sound kernel
	marks *marks
	left  traces // behind
}

// verdicts judges one kernel.
func (r injected) verdicts(n int) []matrix.Verdict {
	return matrix.Judge(r.runs[n], r.cfg.Sampling, r.cat)
}

// inject has one run over a kernel for every fault and one without at the end,
// and checks that the run leaves nothing behind.
func inject(t *testing.T, list []injection) injected {
	t.Helper()
	var text strings.Builder
	for _, i := range list {
		fmt.Fprintf(&text, "  - name: %s\n    %s\n", i.id(), i.source(t))
		if i.machine != "" {
			fmt.Fprintf(&text, "    machine: {%s}\n", i.machine)
		}
	}
	fmt.Fprintf(&text, "  - name: sound\n    %s\n", list[0].source(t))
	cfg, cat := testRun(t, faultMatrix(text.String()))
	cfg.Guest, cfg.Budget.Jobs = program(t, "faulty"), 1
	r := injected{cfg: cfg, cat: cat, marks: newMarks(t, cfg, list)}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { r.marks.follow(ctx) })
	before := leftovers(t, cfg)
	runs, err := Run(context.Background(), cfg)
	stop()
	watching.Wait()
	if err != nil {
		t.Fatal(err)
	}
	r.runs, r.left = runs, leftovers(t, cfg).beyond(before)
	if len(r.left) > 0 {
		t.Errorf("the run left %q", r.left)
	}
	return r
}

// injectAll injects faults, checks every answer and prints the table.
func injectAll(t *testing.T, list []injection, w waits) {
	t.Helper()
	shorten(t, w)
	r := inject(t, list)
	table := newTally()
	table.left = len(r.left)
	for n, kr := range r.runs {
		verdicts := r.verdicts(n)
		if n == len(list) {
			t.Run("sound", func(t *testing.T) { rightVerdicts(t, kr, verdicts, -1) })
			continue
		}
		i := list[n]
		t.Run(i.id(), func(t *testing.T) {
			i.check(t, kr, verdicts)
			announced := r.marks.announced(t, kr)
			table.add(i, kr, verdicts, announced, !t.Failed())
			if t.Failed() {
				explainRun(t, kr, verdicts)
			}
			keepForCorpus(t, i, kr)
		})
	}
	table.print(t)
}

// waits are recordSlack and bootDeadline for a test.
type waits struct{ records, boot time.Duration }

// usual are the waits for faults that show at once.
var usual = waits{time.Second, 1250 * time.Millisecond}

// shorten makes the waits short for a test, and sysrq's reboot a triple fault.
func shorten(t *testing.T, w waits) {
	t.Helper()
	between, first, end, args := recordSlack, bootDeadline, endDeadline, kernelArgs
	t.Cleanup(func() { recordSlack, bootDeadline, endDeadline, kernelArgs = between, first, end, args })
	recordSlack, bootDeadline, endDeadline = w.records, w.boot, 500*time.Millisecond
	kernelArgs = append(slices.Clone(kernelArgs), "reboot=t")
}

// check says whether everything that is known of the kernel is as it must be.
func (i injection) check(t *testing.T, kr matrix.KernelRun, verdicts []matrix.Verdict) {
	i.checkVerdicts(t, kr, verdicts)
	if i.fails == "" {
		i.checkHarmless(t, kr, verdicts)
		return
	}
	switch i.phase {
	case atBoot, atStart:
		if !i.goesOn {
			i.isTheFault(t, kr.Error)
		}
		for _, c := range kr.Cells {
			i.isTheFault(t, c.Error)
		}
		want := max(i.boots, 1)
		if i.boots == 0 && i.again {
			want = maxIdle
		}
		i.boot(t, kr, want)
	case atSetup, atTrials:
		c := kr.Cells[victimCell]
		switch {
		case i.once && len(c.Ended) != 1:
			t.Errorf("%d boots ended in the victim, want 1", len(c.Ended))
		case !i.once && (c.Error == nil || len(c.Ended) != maxStrikes):
			t.Errorf("%d boots ended in the victim: %s", len(c.Ended), matrix.VerdictText(verdicts[victimCell]))
		}
		for _, e := range c.Ended {
			i.isTheFault(t, &e)
		}
		if c.Error != nil {
			for _, e := range c.Ended {
				if !strings.Contains(c.Error.Hint, e.Log) {
					t.Errorf("the hint %q lacks %s", c.Error.Hint, e.Log)
				}
			}
		}
		want := 2
		switch { // each strike of the emulation's comes after some that do not count
		case i.emulator && i.once:
			want = maxEmulator + 1
		case i.emulator:
			want = 2 * maxEmulator
		}
		i.boot(t, kr, want)
	case atBetween:
		i.boot(t, kr, 2)
		i.isTheFault(t, &matrix.Failure{Side: i.wantSide(), Reason: kr.Boots[0].Why, Log: kr.Boots[0].ConsoleLog})
	case atTeardown:
		i.boot(t, kr, 1)
		i.isTheFault(t, &matrix.Failure{Side: i.wantSide(), Reason: kr.Boots[0].Why, Log: kr.Boots[0].ConsoleLog})
	case atEnd:
		i.boot(t, kr, 1)
		end := kr.Boots[0].End
		if !regexp.MustCompile(`^done(, then ` + strings.TrimPrefix(i.fails, "^") + `.*|, but did not power off)?$`).MatchString(end) {
			t.Errorf("after done, it ended %q", end)
		}
	}
}

// checkVerdicts checks that nothing is lost or false.
func (i injection) checkVerdicts(t *testing.T, kr matrix.KernelRun, verdicts []matrix.Verdict) {
	t.Helper()
	struck := i.fails != ""
	switch {
	case struck && (i.phase == atBoot || i.phase == atStart):
		for n, v := range verdicts {
			if v.Kind != matrix.VerdictError {
				t.Errorf("cell %d of a kernel that never came to it: %s", n, matrix.VerdictText(v))
			}
		}
	case struck && !i.once && (i.phase == atSetup || i.phase == atTrials):
		rightVerdicts(t, kr, verdicts, victimCell)
		if v := verdicts[victimCell]; v.Kind != matrix.VerdictError {
			t.Errorf("the victim of every boot: %s", matrix.VerdictText(v))
		}
	default:
		rightVerdicts(t, kr, verdicts, -1)
	}
}

func (i injection) checkHarmless(t *testing.T, kr matrix.KernelRun, verdicts []matrix.Verdict) {
	i.boot(t, kr, 1)
	if kr.Boots[0].End != "done" {
		t.Errorf("the boot ended %q", kr.Boots[0].End)
	}
	for n, c := range kr.Cells {
		var kinds []string
		for _, s := range c.Splats {
			kinds = append(kinds, s.Kind)
		}
		marked := n == victimCell && i.marks != "" && (i.phase == atSetup || i.phase == atTrials)
		switch {
		case marked && !slices.Contains(kinds, i.marks):
			t.Errorf("the victim is marked %q, want %s", kinds, i.marks)
		case marked && len(verdicts[n].Footnotes) == 0:
			t.Error("the victim's verdict has no footnote")
		case !marked && i.marks == "" && len(kinds) > 0:
			t.Errorf("%s is marked %q", c.Cell.Watch.Name, kinds)
		}
	}
}

// wantSide is whose fault it is.
func (i injection) wantSide() matrix.Side {
	switch {
	case i.side != "":
		return i.side
	case i.phase == atBoot:
		return matrix.SideBoot
	}
	return matrix.SideGuest
}

// isTheFault checks a failure, and that its log shows what it says.
func (i injection) isTheFault(t *testing.T, f *matrix.Failure) {
	t.Helper()
	if f == nil {
		t.Error("no failure")
		return
	}
	if f.Side != i.wantSide() || !regexp.MustCompile(i.fails).MatchString(f.Reason) {
		t.Errorf("told as %s: %s; want %s: %s", f.Side, f.Reason, i.wantSide(), i.fails)
	}
	if kind, line, ok := strings.Cut(f.Reason, ": "); ok && slices.ContainsFunc(splatPatterns, func(p struct {
		kind string
		re   *regexp.Regexp
	},
	) bool {
		return p.kind == kind
	}) {
		line, _, _ = strings.Cut(line, " (Oops: int3: ")
		if data, err := os.ReadFile(f.Log); err != nil || !strings.Contains(string(data), line) {
			t.Errorf("the log %q does not show %q (%v)", f.Log, line, err)
		}
	}
}

// boot checks the number of boots, and that each has a log of its own.
func (i injection) boot(t *testing.T, kr matrix.KernelRun, want int) {
	t.Helper()
	if len(kr.Boots) != want {
		t.Errorf("%d boots, want %d", len(kr.Boots), want)
	}
	logs := map[string]bool{}
	for _, b := range kr.Boots {
		logs[b.ConsoleLog] = true
	}
	if len(logs) != len(kr.Boots) {
		t.Errorf("%d boots have %d logs", len(kr.Boots), len(logs))
	}
}

// rightVerdicts checks every cell but one (-1 for none to leave out).
func rightVerdicts(t *testing.T, kr matrix.KernelRun, verdicts []matrix.Verdict, but int) {
	t.Helper()
	if kr.Error != nil {
		t.Errorf("the kernel has the error %s", kr.Error.Reason)
	}
	for n, c := range faultCells {
		if n != but && verdicts[n].Kind != c.right {
			t.Errorf("%s: %s, want %s", c.watch, matrix.VerdictText(verdicts[n]), c.right)
		}
	}
}

// explainRun logs what is known of a kernel.
func explainRun(t *testing.T, kr matrix.KernelRun, verdicts []matrix.Verdict) {
	t.Helper()
	for n, c := range kr.Cells {
		t.Logf("%s: %s, ended %+v, marked %+v", c.Cell.Watch.Name, matrix.VerdictText(verdicts[n]), c.Ended, c.Splats)
		if o := c.Outcome; o != nil {
			t.Logf("its set-up took %s, its trials %s: %+v", o.Setup, o.Elapsed, o.Counts)
		}
	}
	for _, b := range kr.Boots {
		t.Logf("boot: end %q, why %q", b.End, b.Why)
		data, _ := os.ReadFile(b.ConsoleLog)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		t.Logf("its console ends with\n%s", strings.Join(lines[max(0, len(lines)-25):], "\n"))
	}
}

// marks know what guests announce on their consoles.
type marks struct {
	dir     string
	signals map[string]syscall.Signal // console log → for QEMU
	t       *testing.T
}

func newMarks(t *testing.T, cfg Config, list []injection) *marks {
	m := &marks{dir: cfg.LogDir, signals: map[string]syscall.Signal{}, t: t}
	for _, i := range list {
		for n := 0; i.signal != 0 && n < maxStrikes+maxIdle; n++ {
			m.signals[filepath.Join(m.dir, logName(i.id(), n))] = i.signal
		}
	}
	return m
}

// announcement is a line of testdata/faulty.
const announcement = "faulty: "

// follow sends QEMU its signal as soon as its guest has announced it.
func (m *marks) follow(ctx context.Context) {
	for len(m.signals) > 0 && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
		for log, signal := range m.signals {
			if m.count(log) == 0 {
				continue
			}
			delete(m.signals, log)
			pid, ok := findQEMU(fmt.Sprintf("kqual-%d-", os.Getpid()))
			if !ok {
				m.t.Errorf("%s: found no QEMU to end", filepath.Base(log))
			} else if err := syscall.Kill(pid, signal); err != nil {
				m.t.Errorf("%s: signal %v: %v", filepath.Base(log), signal, err)
			}
		}
	}
}

// count is how many faults a console announces.
func (m *marks) count(log string) int {
	data, err := os.ReadFile(log)
	if err != nil {
		return 0
	}
	return strings.Count(string(data), announcement)
}

// announced is how many faults struck a kernel.
func (m *marks) announced(t *testing.T, kr matrix.KernelRun) int {
	n := 0
	for _, b := range kr.Boots {
		n += m.count(b.ConsoleLog)
		data, _ := os.ReadFile(b.ConsoleLog)
		if _, text, ok := strings.Cut(string(data), announcement+"cannot"); ok {
			line, _, _ := strings.Cut(text, "\n")
			t.Errorf("the guest cannot %s", line)
		}
	}
	return n
}

// traces is what a run must not leave.
type traces []string

// leftovers lists the machines of this process and the temporary files of this
// host that kqual or QEMU could have made.
func leftovers(t *testing.T, cfg Config) traces {
	t.Helper()
	var out traces
	if pid, ok := findQEMU(fmt.Sprintf("kqual-%d-", os.Getpid())); ok {
		out = append(out, fmt.Sprintf("QEMU with process id %d", pid))
	}
	for _, pattern := range []string{memoryDir + "/*", filepath.Join(cfg.LogDir, ".*")} {
		files, _ := filepath.Glob(pattern)
		out = append(out, files...)
	}
	return append(out, abandoned(filepath.Join(cfg.CacheDir, "tmp"))...)
}

func (a traces) beyond(b traces) traces {
	return slices.DeleteFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// abandoned lists the directories below dir that no process holds a lock on.
func abandoned(dir string) (list []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
		if ok, _ := lock.TryLock(); ok {
			list = append(list, path)
			_ = lock.Unlock()
		}
	}
	return list
}
