package cli

import (
	"context"
	"os"
	"slices"
	"testing"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
)

// A night looks at what the archive has now: a tracked kernel that moved is
// measured again under its name, what a range stands for comes and goes.
func TestANightPicksUpNewKernels(t *testing.T) {
	n := newNights(t)
	a, err := startArchive(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.server.Close()
	for _, name := range archiveVariables {
		t.Setenv(name, a.server.URL)
	}
	release := func(versions ...string) {
		t.Helper()
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := a.release(versions); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(n.path("cache", "release")); err != nil { // as if a day had passed
			t.Fatal(err)
		}
	}
	source := "debian: {suite: testing, package: linux-image-cloud-amd64, versions: '>=6', keyring: " + n.path("keyring.gpg")
	n.matrix(`version: 1
name: tracked
kernels:
  - {name: newest, ` + source + `, track: latest}}
  - {name: each, ` + source + `}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
expect:
  - {kernel: [newest, each], verdict: clean, why: "nothing here is affected"}
`)
	n.app.measure = func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		for _, k := range cfg.Plan.Kernels {
			img, err := kernels.Fetch(ctx, kernels.Env{Cache: cfg.Cache, Kernel: k.Kernel.Name, Progress: func(kernels.Event) {}}, k.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			n.images[k.Kernel.Name] = img.Provenance.SHA256
		}
		return n.measure(ctx, cfg)
	}
	night := func(want int, measured ...string) matrix.Comparison {
		t.Helper()
		out := n.night(want)
		for i := range measured {
			measured[i] += "/tmpfs/unlink/IN_DELETE"
		}
		if !slices.Equal(sorted(n.measured), measured) {
			t.Errorf("measured %v, want %v", n.measured, measured)
		}
		return out.Diff.Comparison
	}
	release("6.1.1-1")
	night(exitOK, "each-6.1.1-1", "newest")
	night(exitOK)
	release("6.1.1-1", "6.1.2-1")
	if d := night(exitOK, "each-6.1.2-1", "newest"); !slices.Equal(d.NewKernels, []string{"each-6.1.2-1"}) || len(d.VanishedKernels) != 0 {
		t.Errorf("new %v, vanished %v", d.NewKernels, d.VanishedKernels)
	}
	release("6.1.2-1")
	if d := night(exitNoAnswer); !slices.Equal(d.VanishedKernels, []string{"each-6.1.1-1"}) {
		t.Errorf("vanished %v", d.VanishedKernels)
	}
	night(exitOK)
}
