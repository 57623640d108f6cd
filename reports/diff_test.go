package reports

import (
	"bytes"
	"strings"
	"testing"
)

func TestDiffSaysWhatChanged(t *testing.T) {
	// Without controls: they would take back what rests on a kernel that changed.
	before, after := synthetic(), synthetic()
	before.Spec.Controls, after.Spec.Controls = nil, nil
	// debian-12 becomes affected on tmpfs, v5.10-affected is fixed on ext4, and
	// one kernel is another image.
	after.Runs[1].Cells[1].Outcome = stale(128, 128)
	after.Runs[3].Cells[7].Outcome = fixed()
	after.Runs[0].Provenance.Version = "5.10.226-1"
	after.Runs = after.Runs[:5]
	d := Compare(Build(before), Build(after))
	var b bytes.Buffer
	if err := d.Render(&b, Options{Width: 300}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- debian-12/tmpfs/unlink/IN_DELETE: clean <0.1 % (0/3700) → STALE 128/128 [95.8 %, 100 %]\n",
		"Better\n- v5.10-affected/ext4/unlink/IN_DELETE: STALE 128/128 [95.8 %, 100 %] → clean <0.1 % (0/3700)\n",
		"- debian-11: version 5.10.223-1 → 5.10.226-1\n",
		"No longer there\n- a|b `rm -rf ~` <img src=x>",
		"60 cells in common: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

func TestDiffOfARunWithItselfIsEmpty(t *testing.T) {
	d := Compare(Build(synthetic()), Build(synthetic()))
	if len(d.Differences) > 0 || d.Common != 72 {
		t.Errorf("got %+v", d)
	}
}
