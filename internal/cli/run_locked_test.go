package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
)

// fetching runs a plan as far as getting the kernels; each cell of one that was
// got is clean.
func fetching(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
	runs := pending(cfg.Plan, nil)
	for i, k := range cfg.Plan.Kernels {
		img, err := kernels.Fetch(ctx, kernels.Env{Cache: cfg.Cache, Kernel: k.Kernel.Name, Progress: func(kernels.Event) {}}, k.Kernel)
		if err != nil {
			f := &matrix.Failure{Side: matrix.SideKernel, Reason: err.Error()}
			_ = errors.As(err, &f)
			runs[i].Error = f
		} else {
			runs[i].Provenance = img.Provenance
			for c := range runs[i].Cells {
				runs[i].Cells[c].Outcome = cleanOutcome()
			}
			runs[i].Witnesses = []matrix.Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Late}}
		}
		cfg.OnEvent(runner.Event{Kernel: k.Kernel.Name, Run: &runs[i]})
	}
	return runs, nil
}

func TestLockedRunTakesOnlyWhatIsLocked(t *testing.T) {
	b := newBench(t, fetching)
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(b.path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("/boot/a", b.path("a"), "/boot/b", b.path("b")).Replace(smallMatrix)
	write("matrix.yaml", []byte(text))
	write("a", smallImage("6.1.0-a"))
	write("b", smallImage("6.1.0-b"))
	if code := b.app.main(t.Context(), []string{"kernels", "lock", "--matrix", b.path("matrix.yaml")}); code != exitOK {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	if code := b.run(t.Context(), "--locked"); code != exitOK {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	for _, k := range b.load().Kernels {
		if k.Provenance.Details["lock"] != "matrix.lock" {
			t.Errorf("%s: provenance %+v", k.Kernel, k.Provenance)
		}
	}

	write("b", smallImage("6.1.0-other"))
	write("matrix.yaml", []byte(strings.Replace(text, "filesystems:", "  - {name: c, file: {vmlinuz: "+b.path("a")+"}}\nfilesystems:", 1)))
	before := len(b.err.String())
	if code := b.run(t.Context(), "--locked", "--offline"); code != exitNoAnswer {
		t.Errorf("exit %d, want %d", code, exitNoAnswer)
	}
	var lines []string
	for line := range strings.Lines(b.err.String()[before:]) {
		if !strings.Contains(line, "warning: ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "b: error: "+b.path("b")+": wrong hash: ") || !strings.HasPrefix(lines[1], "c: error: matrix.lock has no kernel c; ") {
		t.Errorf("stderr has %q", lines)
	}
	r := b.load()
	if r.Kernels[0].Provenance.Details["lock"] != "matrix.lock" || r.Kernels[1].Error == nil || r.Kernels[2].Error == nil {
		t.Errorf("kernels %+v", r.Kernels)
	}
	if code := b.run(t.Context()); code != exitOK {
		t.Errorf("without the lock: exit %d: %s", code, b.err.String())
	}
	if got := b.load().Kernels[0].Provenance.Details["lock"]; got != "" {
		t.Errorf("without the lock it is from %q", got)
	}
}
