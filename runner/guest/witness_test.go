package guest

import (
	"testing"

	"kqual/matrix"
)

// The sequences are what real kernels sent (see the commits in witness.go).
func TestTheOrderWitnessReadsDeleteAgainstDeleteSelf(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   matrix.Order
	}{
		"5.4 to 5.16":               {[]string{"DELETE", "ATTRIB", "DELETE_SELF", "IGNORED"}, matrix.Early},
		"before 5.3 and since 5.17": {[]string{"ATTRIB", "DELETE_SELF", "IGNORED", "DELETE"}, matrix.Late},
		"hook after link count":     {[]string{"ATTRIB", "DELETE", "DELETE_SELF", "IGNORED"}, matrix.Early},
		"rmdir, 5.4 to 5.16":        {[]string{"DELETE", "DELETE_SELF", "IGNORED"}, matrix.Early},
		"rmdir, fixed":              {[]string{"DELETE_SELF", "IGNORED", "DELETE"}, matrix.Late},
		"another link remains":      {[]string{"ATTRIB", "DELETE"}, matrix.NoOrder},
		"nothing":                   {nil, matrix.NoOrder},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := orderOf(tt.events); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAFilesystemBringsScenariosOfItsOwn(t *testing.T) {
	filesystems["own"] = Filesystem{
		scenarios: map[string]scenario{"unlink": {Scenario: matrix.Scenario{Doc: "own"}}},
		noWitness: "names never die here",
	}
	defer delete(filesystems, "own")
	if got := scenarioOn("own", "unlink").Doc; got != "own" {
		t.Errorf("own unlink: got %q", got)
	}
	if got := scenarioOn("tmpfs", "unlink").Doc; got != scenarios["unlink"].Doc {
		t.Errorf("unlink on tmpfs: got %q", got)
	}
	cells := []matrix.Cell{{Filesystem: "own", Scenario: "unlink"}, {Filesystem: "tmpfs", Scenario: "rmdir"}}
	got := witnesses("own", "/nonexistent", cells)
	if len(got) != 1 || got[0].Order != matrix.NotApplicable || got[0].Kind != "unlink" || got[0].Reason != "names never die here" {
		t.Errorf("got %+v", got)
	}
}
