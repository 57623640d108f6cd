package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"regexp"
	"strings"
	"testing"

	"kqual/matrix"
)

// hostileText tries to leave every format that there is.
const hostileText = "=cmd|' /C calc'!A0</script><script>alert(1)</script>]]>&amp;<!--\x1b[2J\x00\u202e\xff\r\n" +
	"::error::owned\nok 99 - owned # SKIP \\ '\"`|\n</details>\n| a | [x](javascript:y) <img src=x onerror=y> {{.}} ${x} %0A"

// hostile is a run in which everything that has a name has that one: an answer,
// a failure and a cell that was not run, with a finding each.
func hostile() Input {
	in := synthetic()
	watch := matrix.Watch{Name: hostileText, Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE"}}}
	run := kernelRun(0, hostileText, hostileText, hostileText, hostileText, "", nil)
	run.Boots[0].CPUModel, run.Boots[0].QEMU, run.Boots[0].End = hostileText, hostileText, hostileText
	run.Provenance.Details = map[string]string{matrix.DetailPatches: hostileText, hostileText: hostileText}
	cell := func(scenario string) matrix.CellRun {
		return matrix.CellRun{Cell: matrix.Cell{Kernel: hostileText, Filesystem: hostileText, Scenario: scenario, Watch: watch}}
	}
	answered, failed, missing := cell("unlink"), cell(hostileText), cell("rmdir")
	answered.Outcome = stale(128, 128)
	failed.Error = &matrix.Failure{Side: matrix.SideGuest, Reason: hostileText, Log: hostileText, Hint: hostileText}
	run.Witnesses = []matrix.Witness{{Filesystem: hostileText, Kind: "unlink", Order: matrix.Early, Events: []string{hostileText}, Reason: hostileText}}
	run.Cells = []matrix.CellRun{answered, failed, missing}
	in.State = StateInterrupted
	in.Spec.Name, in.Spec.Path, in.Host.CPUModel = hostileText, hostileText, hostileText
	in.Spec.Watches, in.Spec.Controls = []matrix.Watch{watch}, nil
	in.Spec.Expect = []matrix.Rule{{Verdict: []matrix.VerdictKind{matrix.VerdictClean}, Why: hostileText, Line: 3}}
	in.Runs = []matrix.KernelRun{run}
	return in
}

func TestHostileNamesStayTextInEveryFormat(t *testing.T) {
	r := Build(hostile())
	if len(r.Cells) != 2 || len(r.Missing) != 1 {
		t.Fatalf("%d cells and %d missing, want 2 and 1", len(r.Cells), len(r.Missing))
	}
	checks := map[string]func(t *testing.T, text string){
		"csv": func(t *testing.T, text string) {
			rows, err := csv.NewReader(strings.NewReader(text)).ReadAll() // as many fields in every row
			if err != nil || len(rows) != 4 {
				t.Fatalf("%d rows, %v; want 4", len(rows), err)
			}
			for _, field := range rows[1] {
				if strings.HasPrefix(field, "=") {
					t.Errorf("a formula: %s", field)
				}
			}
			if rows[1][0] != "'"+Printable(hostileText) {
				t.Errorf("the kernel is %q", rows[1][0])
			}
		},
		"github": func(t *testing.T, text string) {
			for line := range strings.Lines(text) {
				if !regexp.MustCompile(`^::(error|warning|notice) (file=[^:,]*,line=3,)?title=[^:,]*::`).MatchString(line) {
					t.Errorf("no annotation of ours: %s", line)
				}
			}
		},
		"html": func(t *testing.T, text string) {
			if n := strings.Count(text, "<script"); n != 2 {
				t.Errorf("%d scripts, want 2", n)
			}
			if strings.Contains(text, "<img") || strings.Contains(text, "{{.}}</h1><") {
				t.Error("a name became markup")
			}
			_, rest, _ := strings.Cut(text, `<script type="application/json" id="data">`)
			data, _, _ := strings.Cut(rest, "</script>")
			var page htmlData
			if err := json.Unmarshal([]byte(data), &page); err != nil || page.Kernels[0].Name != Printable(hostileText) {
				t.Errorf("the page's data: %v", err)
			}
		},
		"json": func(t *testing.T, text string) {
			again, err := Decode([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := again.Cells[0].Watch, strings.ToValidUTF8(hostileText, "\uFFFD"); got != want {
				t.Errorf("the watch is %q, want %q", got, want)
			}
		},
		"junit": func(t *testing.T, text string) {
			var suites junitSuites
			if err := xml.Unmarshal([]byte(text), &suites); err != nil {
				t.Fatal(err)
			}
			if s := suites.Suites[0]; s.Name != Printable(hostileText) || len(s.Cases) != 3 || s.Cases[0].Name != Printable(hostileText) {
				t.Errorf("the suite: %+v", s)
			}
		},
		"markdown": noMarkup, "summary": noMarkup,
		"png": func(t *testing.T, text string) {
			if _, err := png.Decode(strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		},
		"schema": func(*testing.T, string) {}, // has nothing of the report
		"svg": func(t *testing.T, text string) {
			d := xml.NewDecoder(strings.NewReader(text))
			for {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if e, ok := token.(xml.StartElement); ok && (e.Name.Local == "script" || e.Name.Local == "img") {
					t.Errorf("a name became <%s>", e.Name.Local)
				}
			}
		},
		"tap": func(t *testing.T, text string) {
			if n := len(regexp.MustCompile(`(?m)^(not )?ok \d`).FindAllString(text, -1)); n != 3 {
				t.Errorf("%d tests, want 3", n)
			}
			if n := len(regexp.MustCompile(`(?mi)^(not )?ok .*[^\\]# *skip`).FindAllString(text, -1)); n != 1 {
				t.Errorf("%d skipped, want 1", n)
			}
		},
		"terminal": func(*testing.T, string) {},
	}
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			var b bytes.Buffer
			if err := f.Render(&b, r, Options{Tail: hostileTail}); err != nil {
				t.Fatal(err)
			}
			if !f.Binary && f.Name != "json" { // which has control characters as \u001b
				for _, bad := range []string{"\x1b", "\x00", "\r", "\u202e", "\xff", "\n::error::owned", "\nok 99"} {
					if strings.Contains(b.String(), bad) {
						t.Errorf("lets %q through", bad)
					}
				}
			}
			check := checks[f.Name]
			if check == nil {
				t.Fatal("no check for this format; a new format needs one")
			}
			check(t, b.String())
		})
	}
}

// noMarkup is about what cmark-gfm would not take for text; the test of the
// reader has the rest.
func noMarkup(t *testing.T, text string) {
	for _, bad := range []string{"<script", "<img", "<!--"} {
		if strings.Contains(text, bad) {
			t.Errorf("a name became markup: %s", bad)
		}
	}
	if open, closed := strings.Count(text, "<details>"), strings.Count(text, "</details>"); open != closed {
		t.Errorf("%d <details> and %d </details>", open, closed)
	}
}
