package reports

import (
	"html"
	"strings"
	"testing"

	"kqual/matrix"
)

// A cell whose boot was not the kernel's first points to the console of its
// own.
func TestEvidenceNamesTheConsoleOfTheBootThatGaveTheAnswer(t *testing.T) {
	in := synthetic()
	in.Runs = in.Runs[:1]
	run := &in.Runs[0]
	second := run.Boots[0]
	second.ConsoleLog = "out/logs/debian-11.2.console.log"
	run.Boots = append(run.Boots, second)
	run.Cells[7].Boot = 1 // ext4, IN_DELETE
	run.Cells[8].Outcome, run.Cells[8].Error = nil, &matrix.Failure{Side: matrix.SideGuest, Reason: "panic", Log: "out/logs/else.log"}
	r := Build(in)
	want := map[int]string{7: "out/logs/debian-11.2.console.log", 8: "out/logs/else.log"}
	for i, e := range r.evidence() {
		log := want[i]
		if log == "" {
			log = "out/logs/debian-11.console.log"
		}
		if e.log() != log {
			t.Errorf("%s: %s, want %s", e.ID(), e.log(), log)
		}
	}
	text := render(t, "markdown", r)
	for _, part := range []string{
		"Console: out/logs/debian-11.console.log, out/logs/debian-11.2.console.log, out/logs/else.log\n",
		"; console out/logs/debian-11.2.console.log; again: ",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("markdown lacks %q", part)
		}
	}
	for _, c := range r.htmlData(r.arrange(), Options{}).Cells {
		if c.Log < 0 || c.Log > 2 {
			t.Errorf("cell has log %d of 3", c.Log)
		}
	}
}

// Whatever the findings are about, the page has a heading for it.
func TestThePageHasEveryFinding(t *testing.T) {
	quiet := withNatural()
	for i := range quiet.Runs {
		for _, c := range quiet.Runs[i].Cells {
			if c.Cell.Scenario == "indelchurn" {
				*c.Outcome = *measured(matrix.Counts{Trials: 20000}, matrix.StopNatural)
			}
		}
	}
	kinds := map[matrix.FindingKind]bool{}
	for _, in := range []Input{synthetic(), quiet, interrupted()} {
		r := Build(in)
		text := html.UnescapeString(render(t, "html", r))
		for _, f := range r.Findings {
			kinds[f.Kind] = true
			if want := "<li>" + Printable(f.Text) + "</li>"; !strings.Contains(text, want) {
				t.Errorf("%s: the page lacks %s", f.Kind, want)
			}
		}
	}
	if !kinds[matrix.FindingNatural] {
		t.Error("no finding is natural")
	}
}
