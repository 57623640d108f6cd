package reports

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kqual/matrix"
)

// pipe runs a reader on what a format renders; it is one of make test-browser.
func pipe(t *testing.T, r *Report, format string, command ...string) string {
	t.Helper()
	if os.Getenv("KQUAL_BROWSER") != "1" {
		t.Skip("KQUAL_BROWSER=1 needs " + command[0] + "; make test-browser has it")
	}
	f, err := LookupFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	var in, out, stderr bytes.Buffer
	if err := f.Render(&in, r, Options{Link: someLogs}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", command[0], err, stderr.String())
	}
	return out.String()
}

// markdownReader renders Markdown as GitHub does, before it takes anything out.
var markdownReader = []string{"cmark-gfm", "--unsafe", "-e", "table", "-e", "strikethrough", "-e", "autolink"}

func TestMarkdownReaderSeesTablesAndNoMarkupFromNames(t *testing.T) {
	for _, format := range []string{"markdown", "summary"} {
		html := pipe(t, Build(synthetic()), format, markdownReader...)
		if !strings.Contains(html, "<table>") {
			t.Errorf("%s: no table", format)
		}
		for _, bad := range []string{"<img", "<code>rm", "<del>", "<em>", `href="http://x"`} {
			if strings.Contains(html, bad) {
				t.Errorf("%s: a name became markup: %s", format, bad)
			}
		}
		worst := pipe(t, Build(hostile()), format, markdownReader...)
		for _, bad := range []string{"<script", "<img", "javascript:y\""} {
			if strings.Contains(worst, bad) {
				t.Errorf("%s: a hostile name became markup: %s", format, bad)
			}
		}
		if format == "markdown" && strings.Count(html, `<a href="logs/broken%20%7C%20pipe.console.log">out/logs/broken | pipe.console.log</a>`) != 1 {
			t.Error("no link to the console of the broken kernel")
		}
		// Every row has as many cells as its head, so no name broke out of its own.
		for table := range strings.SplitSeq(html, "<table>") {
			columns := strings.Count(table, "<th")
			for row := range strings.SplitSeq(table, "<tr>") {
				if n := strings.Count(row, "<td"); n > 0 && n != columns-strings.Count(table, "<thead") {
					t.Errorf("%s: a row has %d cells of %d", format, n, columns-1)
				}
			}
		}
	}
}

// Where what hosts make of names leaves a link nothing to lead to, a reader is
// stuck: GitHub puts a prefix before them, GitLab takes ids away and keeps names.
func TestMarkdownReaderFindsTheEvidenceOfEveryCell(t *testing.T) {
	r := Build(synthetic())
	html := pipe(t, r, "markdown", markdownReader...)
	hosts := map[string]*strings.Replacer{
		"as it is": strings.NewReplacer(),
		"GitHub":   strings.NewReplacer(` name="`, ` name="user-content-`, ` id="`, ` id="user-content-`),
		"GitLab":   strings.NewReplacer(` id="`, ` data-gone="`),
	}
	for host, filter := range hosts {
		page := filter.Replace(html)
		led := map[string]bool{}
		for _, link := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
			led[link[1]] = true
			if n := strings.Count(page, ` name="`+link[1]+`"`) + strings.Count(page, ` id="`+link[1]+`"`); n != 1 {
				t.Errorf("%s: #%s leads to %d places", host, link[1], n)
			}
		}
		if len(led) != len(r.Cells) {
			t.Errorf("%s: %d cells are linked, want %d", host, len(led), len(r.Cells))
		}
	}
	if strings.Contains(html, "][") || strings.Contains(html, "]: #") {
		t.Error("a link stayed text")
	}
}

func TestXMLReaderTakesJUnitAndChart(t *testing.T) {
	out := pipe(t, Build(synthetic()), "junit", "xmllint", "--xpath", "concat(count(//testcase), ' ', count(//testcase/failure), ' ', count(//testcase/error), ' ', sum(//testsuite/@tests))", "-")
	if got := strings.TrimSpace(out); got != "72 4 14 72" {
		t.Errorf("testcases, failures, errors, sum of tests: %s, want 72 4 14 72", got)
	}
	pipe(t, Build(synthetic()), "svg", "xmllint", "--noout", "-")
}

// Perl's TAP::Parser is what prove reads tests with.
func TestTAPReaderCountsTheCells(t *testing.T) {
	const count = `
		use TAP::Parser;
		my $p = TAP::Parser->new({ tap => join('', <STDIN>) });
		my ($yaml, $unknown) = (0, 0);
		while (my $line = $p->next) { $yaml++ if $line->is_yaml; $unknown++ if $line->is_unknown }
		print join(' ', $p->version, $p->tests_run, scalar $p->passed, scalar $p->failed, scalar $p->skipped, $yaml, $unknown, scalar $p->parse_errors);`
	saved, err := Load(filepath.Join("testdata", "real.json"))
	if err != nil {
		t.Fatal(err)
	}
	waived := synthetic()
	waived.Spec.Waive = []matrix.Waiver{{Name: "w1", Owner: "jo", Reason: "known # SKIP", Expires: waived.Started}}
	for _, c := range []struct {
		name string
		r    *Report
		want string // version, tests, passed, failed, skipped, diagnostics, lines that are none, errors
	}{
		{"synthetic", Build(synthetic()), "13 72 54 18 0 18 0 0"},
		{"waived", Build(waived), "13 72 72 0 0 0 0 0"},
		{"interrupted", Build(interrupted()), "13 72 72 0 56 0 0 0"},
		{"real", saved, "13 72 72 0 0 0 0 0"},
		{"hostile", Build(hostile()), "13 3 1 2 1 2 0 0"},
	} {
		if got := pipe(t, c.r, "tap", "perl", "-e", count); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
