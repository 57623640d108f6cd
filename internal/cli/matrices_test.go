package cli

import (
	"os"
	"path/filepath"
	"testing"

	"kqual/matrix"
)

// Every matrix that the project ships is valid and has cells to run.
func TestTheMatricesOfTheProjectAreValid(t *testing.T) {
	paths, err := filepath.Glob("../../matrices/*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("found %q, %v", paths, err)
	}
	for _, path := range append(paths, "../../matrix.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := matrix.Parse(path, text, catalog())
			if err != nil {
				t.Fatal(err)
			}
			plan, err := matrix.NewPlan(spec, catalog(), matrix.Selection{})
			if err != nil || len(plan.Stray) > 0 {
				t.Errorf("stray %q, %v", plan.Stray, err)
			}
		})
	}
}
