package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

func TestWhatNamesAnEntrySpeaksOfAllItsKernels(t *testing.T) {
	kernels := []string{"lts", "other", "l*"}
	spec := &matrix.Spec{
		Controls: []matrix.Rule{{Kernel: kernels}},
		Expect:   []matrix.Rule{{Kernel: kernels}, {}},
		Waive:    []matrix.Waiver{{Kernel: kernels}},
	}
	nameRules(spec, map[string][]string{"lts": {"lts-6.1", "lts-6.12"}, "other": {"other"}})
	want := []string{"lts-6.1", "lts-6.12", "other", "l*"}
	for what, got := range map[string][]string{"control": spec.Controls[0].Kernel, "rule": spec.Expect[0].Kernel, "waiver": spec.Waive[0].Kernel} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if spec.Expect[1].Kernel != nil {
		t.Errorf("a rule for every kernel is now for %q", spec.Expect[1].Kernel)
	}
}
