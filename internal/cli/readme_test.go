package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"kqual/matrix"
)

// The kernels and watches that the README shows are valid in the default matrix.
func TestTheReadmesMatrixPartsAreValid(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d blocks of YAML, want kernels and watches", len(blocks))
	}
	with := string(text)
	for i, key := range []string{"kernels:\n", "watches:\n"} {
		with = strings.Replace(with, key, key+string(blocks[i][1]), 1)
	}
	spec, err := matrix.Parse("matrix.yaml", []byte(with), catalog())
	if err != nil {
		t.Fatal(err)
	}
	before, err := matrix.Parse("matrix.yaml", text, catalog())
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Kernels) <= len(before.Kernels) || len(spec.Watches) <= len(before.Watches) {
		t.Errorf("%d kernels and %d watches, %d and %d without the README", len(spec.Kernels), len(spec.Watches), len(before.Kernels), len(before.Watches))
	}
}
