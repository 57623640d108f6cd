package reports

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
)

func TestWaivedCellsAreShownAndDoNotFail(t *testing.T) {
	in := synthetic()
	in.Spec.Waive = []matrix.Waiver{{Name: "w1", Owner: "jo", Reason: "known", Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}}
	r := Build(in)
	if r.Gate.Exit != matrix.ExitMet || r.Gate.Waived != 18 || r.Gate.Unmet+r.Gate.NoAnswer != 0 {
		t.Errorf("gate %+v", r.Gate)
	}
	for name, want := range map[string]string{
		"terminal": "\nWaived\n- ", "markdown": "\n## Waived\n", "html": "<h2 id=\"h-waived\">Waived</h2>", "tap": "\nnot ok 24 - v5.10-affected/ext4/unlink/FAN_DELETE+target_fid: n/a EINVAL # TODO ",
		"junit": "failures=\"0\" errors=\"0\" skipped=\"18\"",
	} {
		f, err := LookupFormat(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Render(&b, r, Options{Width: 400}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) || name != "junit" && !strings.Contains(b.String(), "waiver w1 of jo, until 2026-12-01: known") {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}
