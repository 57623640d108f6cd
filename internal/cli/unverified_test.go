package cli

import (
	"context"
	"os"
	"strings"
	"testing"

	"kqual/internal/certify"
	"kqual/matrix"
	"kqual/runner"
)

// A kernel that nothing vouches for is named by the night, its JSON, the index of
// the nights and what is told of it; it is not certified.
func TestTheNightsSayWhichKernelIsUnverified(t *testing.T) {
	n := newNights(t)
	n.app.measure = func(ctx context.Context, cfg runner.Config) ([]matrix.KernelRun, error) {
		runs, err := n.measure(ctx, cfg)
		for i := range runs {
			if runs[i].Kernel == "a" {
				runs[i].Provenance.Details = map[string]string{matrix.DetailUnverified: "taken without a sha256 from somewhere"}
			}
		}
		return runs, err
	}
	const said = "UNVERIFIED: nothing vouches for kernel a, taken without a sha256 from somewhere"
	first := n.night(exitOK)
	n.night(exitOK)
	if out := n.out.String(); !strings.Contains(out, said) {
		t.Errorf("the night does not say it:\n%s", out)
	}
	page, err := os.ReadFile(n.path("state/index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(page), "; UNVERIFIED: nothing vouches for a<") != 2 {
		t.Errorf("the index does not say it:\n%s", page)
	}
	s := n.certify(exitNoAnswer, "a", first.Run)
	if s.Result != certify.NotEnough || len(s.Why) != 1 || !strings.HasPrefix(s.Why[0], "UNVERIFIED: nothing vouches for the kernel, taken") {
		t.Errorf("%+v", s.Why)
	}
	if text, err := os.ReadFile(n.path("statement.md")); err != nil || !strings.Contains(string(text), "\n- UNVERIFIED: ") {
		t.Errorf("%v\n%s", err, text)
	}
	if s := n.certify(exitOK, "b", first.Run); s.Result != certify.Pass {
		t.Errorf("b: %+v", s.Why)
	}
}
