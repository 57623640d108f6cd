package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner"
)

// accelerators boots a probe guest with each accelerator, for each architecture
// of the matrix. One that boots is enough. before are the checks so far: without
// QEMU there is nothing to try.
func (d *doctor) accelerators(ctx context.Context, before []finding) []finding {
	var checks []finding
	for _, arch := range runner.Architectures() {
		if d.hasArch(arch) {
			checks = append(checks, d.acceleratorsFor(ctx, arch, before)...)
		}
	}
	return checks
}

// acceleratorsFor is accelerators for one architecture. Only that of the host
// has another one than emulation.
func (d *doctor) acceleratorsFor(ctx context.Context, arch string, before []finding) []finding {
	names, of := []string{runner.AccelKVM, runner.AccelTCG}, ""
	if arch != runtime.GOARCH {
		names, of = names[1:], " for "+arch
	}
	checks := make([]finding, len(names))
	for i, n := range names {
		checks[i] = finding{Name: "accelerator " + n + of}
	}
	fail := func(why, hint string) []finding {
		for i := range checks {
			checks[i].Detail, checks[i].Hint = why, hint
			checks[i].Needed = names[i] == runner.AccelTCG
		}
		return checks
	}
	if !d.boot {
		f := fail("not tried (--no-boot)", "")
		for i := range f {
			f[i].Needed = false
		}
		return f
	}
	for _, c := range before {
		if c.Name != "matrix" && c.Needed && !c.OK {
			return fail("not tried: "+c.Name+" is missing", "")
		}
	}
	p, release, err := d.prober(ctx, arch)
	if err != nil {
		return fail("not tried: "+describe(err), "")
	}
	defer release()
	some := false
	for i, n := range names {
		answer, err := p.Probe(ctx, n)
		switch {
		case err != nil:
			checks[i].Detail = describe(err)
		case answer.Works:
			checks[i].OK = true
			checks[i].Detail = fmt.Sprintf("%s in %.1f s", answer.Detail, answer.Took.Seconds())
			some = true
		default:
			checks[i].Detail = "no guest booted: " + answer.Detail
		}
		if answer.Remembered {
			checks[i].Detail += " (remembered since this host started)"
		}
	}
	for i := range checks {
		if !checks[i].OK && names[i] == runner.AccelKVM {
			checks[i].Hint = "runs would be faster with it: check /dev/kvm and nested virtualisation"
		}
		checks[i].Needed = !some
	}
	return checks
}

// prober gets a kernel to probe with: the first of the matrix for the
// architecture that can be had, downloads before builds. release removes its
// temporary files.
func (d *doctor) prober(ctx context.Context, arch string) (p runner.Prober, release func(), err error) {
	if d.spec == nil {
		return p, nil, errors.New("there is no matrix to take a kernel from")
	}
	cache, err := openCache()
	if err != nil {
		return p, nil, err
	}
	show := d.newProgress(0, 0)
	defer show.close()
	var img *kernels.Image
	var first error
	for _, build := range []bool{false, true} {
		for _, k := range d.spec.Kernels {
			if img != nil || (k.Source == "build") != build || k.Machine.Architecture() != arch {
				continue
			}
			got, err := fetchVerified(ctx, cache, k, show)
			if err == nil {
				img = got
			} else if first == nil {
				first = fmt.Errorf("%s: %w", k.Name, err)
			}
		}
	}
	if img == nil {
		return p, nil, first
	}
	dir, release, err := cache.Temp()
	if err != nil {
		return p, nil, err
	}
	if arch == runtime.GOARCH {
		arch = ""
	}
	return runner.Prober{Image: img, Arch: arch, Memory: runner.AccelMemory(cache.Dir()), Dir: dir}, release, nil
}

func fetchVerified(ctx context.Context, cache *kernels.Cache, k matrix.Kernel, show *progress) (*kernels.Image, error) {
	img, err := kernels.Fetch(ctx, kernels.Env{Cache: cache, Kernel: k.Name, Progress: show.fetch}, k)
	if err != nil {
		return nil, err
	}
	return img, img.Verify()
}
