package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner/guest"
)

// needVM skips a test that boots a machine, unless KQUAL_VM=1 asks for it; then
// a missing QEMU is a failure.
func needVM(t testing.TB) {
	t.Helper()
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("boots a virtual machine; set KQUAL_VM=1 (make test does)")
	}
	if _, err := archOf(matrix.Machine{}).version(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// repetitions is how often the core cells are measured: 10 times, 200 with
// KQUAL_FULL=1.
func repetitions() int {
	if os.Getenv("KQUAL_FULL") == "1" {
		return 200
	}
	return 10
}

var programs sync.Map // name below testdata → path

// program builds a static program of testdata, or the guest.
func program(t testing.TB, name string) string {
	t.Helper()
	if p, ok := programs.Load(name); ok {
		return p.(string)
	}
	dir, err := os.MkdirTemp("", "kqual-test-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	source := "./testdata/" + name
	if name == "guest" {
		source = "./guest/program"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	programs.Store(name, path)
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	programs.Range(func(_, path any) bool {
		os.RemoveAll(filepath.Dir(path.(string)))
		return true
	})
	os.Exit(code)
}

// The kernels that tests boot, as a matrix names them.
const (
	debian11 = "debian: {suite: bullseye, package: linux-image-cloud-amd64}"
	debian12 = "debian: {suite: bookworm, package: linux-image-cloud-amd64}"
	// The further kernels of KQUAL_FULL=1.
	debian13          = "debian: {suite: trixie, package: linux-image-cloud-amd64}"
	debian13Backports = "debian: {suite: trixie-backports, package: linux-image-cloud-amd64}"
	affected          = "build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected]}"
)

// quick is a detection limit for tests that want many answers: 656 decisive
// trials for a zero, where 0.1 % needs 3,280.
const quick = "sampling: {detection_limit: 0.5%}"

func testCatalog() matrix.Catalog {
	cat := matrix.Catalog{
		KernelSources: map[string]matrix.KernelSource{},
		EventSources:  guest.EventSources(), Checks: guest.Checks(),
		Scenarios: guest.Scenarios(), Filesystems: guest.Filesystems(), Architectures: Architectures(),
	}
	for _, s := range kernels.Sources() {
		c := s.Catalog()
		cat.KernelSources[c.Name] = c
	}
	return cat
}

// coreMatrix is one kernel with the core watches; head adds top-level keys.
func coreMatrix(kernel, filesystem, head string) string {
	return fmt.Sprintf(`version: 1
name: test
%s
kernels:
  - name: k
    %s
filesystems: [%s]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: IN_DELETE+EXCL_UNLINK, inotify: [IN_DELETE, IN_EXCL_UNLINK]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
  - {name: IN_DELETE+getdents, inotify: [IN_DELETE], check: getdents}
`, head, kernel, filesystem)
}

// testRun parses and plans a matrix and fills in what every run of a test needs.
func testRun(t testing.TB, text string) (Config, matrix.Catalog) {
	t.Helper()
	cat := testCatalog()
	spec, err := matrix.Parse("test.yaml", []byte(text), cat)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := matrix.NewPlan(spec, cat, matrix.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := kernels.DefaultCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := kernels.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Plan: plan, Sampling: spec.Sampling, Cache: cache, CacheDir: dir,
		LogDir: t.TempDir(), Guest: program(t, "guest"),
	}, cat
}

// image fetches the kernel of a one-kernel matrix.
func image(t testing.TB, kernel string) *kernels.Image {
	t.Helper()
	cfg, _ := testRun(t, coreMatrix(kernel, "tmpfs", ""))
	env := kernels.Env{Cache: cfg.Cache, Kernel: "k", Progress: func(kernels.Event) {}}
	img, err := kernels.Fetch(context.Background(), env, cfg.Plan.Kernels[0].Kernel)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func verdicts(t testing.TB, cfg Config, cat matrix.Catalog) map[string]matrix.Verdict {
	t.Helper()
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]matrix.Verdict{}
	for _, run := range runs {
		for i, v := range matrix.Judge(run, cfg.Sampling, cat) {
			c := run.Cells[i].Cell
			out[c.Filesystem+" "+c.Watch.Name] = v
		}
	}
	return out
}

// The core cells of an affected and of a fixed kernel, boot after boot: not one
// verdict may differ.
func TestVMRepetitionsGiveTheSameVerdicts(t *testing.T) {
	needVM(t)
	for _, tt := range []struct {
		name, kernel string
		want         map[string]matrix.VerdictKind
	}{
		{"affected", affected, map[string]matrix.VerdictKind{
			"tmpfs IN_DELETE": matrix.VerdictAffected, "tmpfs IN_DELETE+EXCL_UNLINK": matrix.VerdictAffected,
			"tmpfs IN_DELETE+nlink": matrix.VerdictHolds, "tmpfs IN_DELETE+getdents": matrix.VerdictHolds,
		}},
		{"fixed", debian11, map[string]matrix.VerdictKind{
			"tmpfs IN_DELETE": matrix.VerdictClean, "tmpfs IN_DELETE+EXCL_UNLINK": matrix.VerdictClean,
			"tmpfs IN_DELETE+nlink": matrix.VerdictClean, "tmpfs IN_DELETE+getdents": matrix.VerdictClean,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, cat := testRun(t, coreMatrix(tt.kernel, "tmpfs", quick))
			wrong := 0
			for n := range repetitions() {
				got := verdicts(t, cfg, cat)
				for cell, want := range tt.want {
					if got[cell].Kind != want {
						wrong++
						t.Errorf("repetition %d: %s: %s, want %s", n, cell, matrix.VerdictText(got[cell]), want)
					}
				}
			}
			t.Logf("%d repetitions of %d cells, %d wrong verdicts", repetitions(), len(tt.want), wrong)
		})
	}
}

func TestVMOneCPUIsNeverClean(t *testing.T) {
	needVM(t)
	cfg, cat := testRun(t, coreMatrix(affected, "tmpfs", "machine: {vcpus: 1}\nsampling: {max_time: 5s}"))
	for cell, v := range verdicts(t, cfg, cat) {
		switch v.Kind {
		case matrix.VerdictAffected:
		case matrix.VerdictInconclusive:
			if !strings.Contains(v.Reason, "early") && !strings.Contains(v.Reason, "decisive") {
				t.Errorf("%s: inconclusive without saying why: %s", cell, v.Reason)
			}
		case matrix.VerdictHolds:
			// A check that recognised every one of enough stale opens holds on one
			// CPU, too.
			if v.Of < 2995 {
				t.Errorf("%s: holds on %d", cell, v.Of)
			}
		default:
			t.Errorf("%s: %s", cell, matrix.VerdictText(v))
		}
		t.Logf("%s: %s", cell, matrix.VerdictText(v))
	}
}

// A process that keeps one host core busy must not change a verdict, nor take
// the evidence away.
func TestVMALoadedHostGivesTheSameVerdict(t *testing.T) {
	needVM(t)
	keepBusy(t, 1)
	cfg, cat := testRun(t, coreMatrix(affected, "tmpfs", ""))
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range matrix.Judge(runs[0], cfg.Sampling, cat) {
		c := runs[0].Cells[i]
		if c.Outcome == nil {
			t.Fatalf("%s: %v", c.Cell.Watch.Name, c.Error)
		}
		n := c.Outcome.Counts
		if strings.HasPrefix(c.Cell.Watch.Name, "IN_DELETE+n") || strings.HasPrefix(c.Cell.Watch.Name, "IN_DELETE+g") {
			if v.Kind != matrix.VerdictHolds {
				t.Errorf("%s: %s", c.Cell.Watch.Name, matrix.VerdictText(v))
			}
		} else if v.Kind != matrix.VerdictAffected {
			t.Errorf("%s: %s", c.Cell.Watch.Name, matrix.VerdictText(v))
		}
		t.Logf("%s: %s; %d of %d trials decisive", c.Cell.Watch.Name, matrix.VerdictText(v), n.Decisive, n.Trials)
	}
}

// bootOnce boots an image with a program as PID 1 and no plan to speak of.
func bootOnce(t *testing.T, img *kernels.Image, guestProgram string, change func(*boot)) bootResult {
	t.Helper()
	haveTheHost(t)
	b := &boot{
		image: img, guest: guestProgram, accel: AccelTCG, dir: t.TempDir(), probe: true,
		machine: matrix.Machine{VCPUs: 1, Memory: 256 << 20},
	}
	if change != nil {
		change(b)
	}
	return b.run(context.Background())
}

func TestVMEachFaultIsToldApart(t *testing.T) {
	needVM(t)
	img := image(t, affected)
	tests := map[string]struct {
		program string
		change  func(*boot)
		side    matrix.Side
		reason  string
		within  time.Duration
	}{
		"panic":        {"quitter", nil, matrix.SideBoot, "panic: Kernel panic - not syncing: Attempted to kill init", 20 * time.Second},
		"no memory":    {"eater", nil, matrix.SideBoot, "panic: Kernel panic - not syncing: ", 60 * time.Second},
		"reboot":       {"rebooter", nil, matrix.SideBoot, "lost channel: the machine restarted before the guest was done", 20 * time.Second},
		"garbage":      {"babbler", nil, matrix.SideBoot, "garbage on the channel", 20 * time.Second},
		"hang":         {"sleeper", func(b *boot) { b.firstRecord = 4 * time.Second }, matrix.SideBoot, "deadline: no record within 4s", 20 * time.Second},
		"wrong kernel": {"guest", func(b *boot) { c := *img; c.Release = "9.9.9"; b.image = &c }, matrix.SideBoot, "wrong kernel", 20 * time.Second},
		"QEMU refuses": {"guest", func(b *boot) { b.machine.VCPUs = 4096 }, matrix.SideHost, "QEMU: ", 20 * time.Second},
		"no kernel": {"guest", func(b *boot) {
			c := *img
			c.Vmlinux = filepath.Join(t.TempDir(), "vmlinux")
			b.image = &c
			if err := os.WriteFile(c.Vmlinux, []byte("not a kernel"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, matrix.SideHost, "", 200 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			res := bootOnce(t, img, program(t, tt.program), tt.change)
			if res.failure == nil {
				t.Fatal("no failure")
			}
			if name != "no kernel" && (res.failure.Side != tt.side || !strings.Contains(res.failure.Reason, tt.reason)) {
				t.Errorf("got %s: %s; want %s: …%s…", res.failure.Side, res.failure.Reason, tt.side, tt.reason)
			}
			if took := time.Since(begin); took > tt.within {
				t.Errorf("took %v", took)
			}
			t.Logf("%s: %s", res.failure.Side, res.failure.Reason)
		})
	}
	t.Run("none", func(t *testing.T) {
		if res := bootOnce(t, img, program(t, "guest"), nil); res.failure != nil || res.boot.End != "done" {
			t.Errorf("a good boot failed: %v, end %q", res.failure, res.boot.End)
		}
	})
	t.Run("flood", func(t *testing.T) {
		res := bootOnce(t, img, program(t, "flooder"), nil)
		if res.failure != nil || res.boot.End != "done" {
			t.Errorf("a boot with a flooded console failed: %v, end %q", res.failure, res.boot.End)
		}
		if info, err := os.Stat(res.boot.ConsoleLog); err != nil || info.Size() < 1_000_000 {
			t.Errorf("the console log: %v, %v", info, err)
		}
	})
}

// A kernel that dies or cannot be had costs its own cells and no others.
func TestVMABadKernelDoesNotStopTheOthers(t *testing.T) {
	needVM(t)
	text := coreMatrix(debian11, "tmpfs", "")
	text = strings.Replace(text, "kernels:\n", "kernels:\n  - name: missing\n    file: {vmlinuz: /nonexistent/vmlinuz}\n", 1)
	cfg, cat := testRun(t, text)
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range matrix.Judge(runs[0], cfg.Sampling, cat) {
		if v.Kind != matrix.VerdictError || !strings.Contains(v.Reason, "no such file") {
			t.Errorf("missing kernel, cell %d: %s", i, matrix.VerdictText(v))
		}
	}
	for i, v := range matrix.Judge(runs[1], cfg.Sampling, cat) {
		if v.Kind != matrix.VerdictClean {
			t.Errorf("good kernel, cell %d: %s", i, matrix.VerdictText(v))
		}
	}
}

// Interrupting a run ends QEMU and gives every cell an answer or a reason.
func TestVMAnInterruptedRunKeepsWhatIsFinished(t *testing.T) {
	needVM(t)
	cfg, _ := testRun(t, coreMatrix(debian11, "tmpfs", ""))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg.OnEvent = func(ev Event) {
		if ev.Cell != nil {
			cancel()
		}
	}
	runs, err := Run(ctx, cfg)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	finished := 0
	for _, c := range runs[0].Cells {
		if c.Outcome != nil {
			finished++
		} else if c.Error == nil {
			t.Errorf("%s has neither outcome nor reason", c.Cell.ID())
		}
	}
	if finished == 0 || finished == len(runs[0].Cells) {
		t.Errorf("%d of %d cells finished", finished, len(runs[0].Cells))
	}
}

// The probe must give the right answer: TCG boots everywhere, and KVM is
// reported as working only if a guest said hello.
func TestVMTheAcceleratorProbeBootsAGuest(t *testing.T) {
	needVM(t)
	p := Prober{Image: image(t, affected), Guest: program(t, "guest"), Memory: filepath.Join(t.TempDir(), "accel.json")}
	a, err := p.Probe(context.Background(), AccelTCG)
	if err != nil || !a.Works || a.Remembered {
		t.Fatalf("TCG: %+v, %v", a, err)
	}
	again, err := p.Probe(context.Background(), AccelTCG)
	if err != nil || !again.Works || !again.Remembered {
		t.Errorf("TCG is not remembered: %+v, %v", again, err)
	}
	kvm, err := p.Probe(context.Background(), AccelKVM)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kvm works: %t (%s)", kvm.Works, kvm.Detail)
	got, err := p.Choose(context.Background(), "auto")
	want := map[bool]string{true: AccelKVM, false: AccelTCG}[kvm.Works]
	if err != nil || got != want {
		t.Errorf("auto chose %q, %v; want %q", got, err, want)
	}
}
