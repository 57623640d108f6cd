package runner

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"kqual/matrix"
)

func TestEveryArchitectureIsComplete(t *testing.T) {
	for name, a := range arches {
		if a.name != name || a.program == "" || a.pkg == "" || !a.vmtest.Valid() || a.tcgCPU == "" || a.channel == "" {
			t.Errorf("%s: %+v", name, a)
		}
		if !strings.Contains(strings.Join(a.records, " "), "chardev") || !strings.Contains(strings.Join(a.kernelArgs, " "), "console=") {
			t.Errorf("%s has no console or no channel: %q %q", name, a.kernelArgs, a.records)
		}
	}
}

// KVM runs only what the host itself runs; that is said before anything starts.
func TestThereIsNoKVMForAnotherArchitecture(t *testing.T) {
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	of := func(accel string) Config {
		k := matrix.Kernel{Name: "k", Machine: matrix.Machine{Arch: other, Accel: accel}}
		return Config{Plan: &matrix.Plan{Kernels: []matrix.KernelPlan{{Kernel: k}}}}
	}
	forced := of("auto")
	forced.Accel = AccelKVM
	for name, cfg := range map[string]Config{"matrix": of(AccelKVM), "flag": forced} {
		var f *matrix.Failure
		if err := cfg.checkAccel(); !errors.As(err, &f) || !strings.Contains(f.Reason, "has no KVM for "+other) || f.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, accel := range []string{"auto", AccelTCG} {
		if err := of(accel).checkAccel(); err != nil {
			t.Errorf("%s: %v", accel, err)
		}
	}
	r := &run{}
	if got, err := r.chooseAccel(t.Context(), matrix.Machine{Arch: other, Accel: "auto"}, nil, ""); got != AccelTCG || err != nil {
		t.Errorf("chose %q, %v", got, err)
	}
}
