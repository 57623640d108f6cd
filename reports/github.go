package reports

import (
	"io"
	"strconv"
	"strings"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "github", Doc: "workflow commands that annotate a GitHub Actions run", Render: renderGitHub})
}

// maxAnnotations is how many annotations of one kind GitHub shows for a step.
// Source: GitHub, "Annotations", limits of workflow commands.
const maxAnnotations = 10

// renderGitHub prints an error for every cell that did not meet its
// expectation, a warning for every one without an answer, and a notice with
// what the run amounts to. An annotation points at the rule in the matrix.
func renderGitHub(w io.Writer, r *Report, _ Options) error {
	p := &printer{w: w}
	rules := matrixRules(r.Expect)
	shown := map[string]int{}
	put := func(level, title, text string, line int) {
		if shown[level]++; shown[level] > maxAnnotations {
			return
		}
		props := "title=" + githubProperty(title)
		if line > 0 {
			props = "file=" + githubProperty(r.Matrix.Path) + ",line=" + githubProperty(strconv.Itoa(line)) + "," + props
		}
		p.printf("::%s %s::%s\n", level, props, githubData(text))
	}
	for _, line := range r.Unverified() {
		put("warning", matrix.DetailUnverified, line, 0)
	}
	for _, c := range r.Cells {
		level := map[matrix.GateState]string{matrix.GateUnmet: "error", matrix.GateNoAnswer: "warning"}[c.Gate]
		if level == "" {
			continue
		}
		line := 0
		at := matrix.Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch}}
		for _, rule := range rules {
			if rule.Matches(at) {
				line = rule.Line
				break
			}
		}
		put(level, c.ID(), c.GateText, line)
	}
	if len(r.Missing) > 0 {
		put("warning", "not run", plural(len(r.Missing), "planned cell")+" not run, first "+r.Missing[0], 0)
	}
	text := gateWord(r) + ": " + r.shortWhy() + " (exit " + strconv.Itoa(r.Gate.Exit) + ")"
	for _, level := range []string{"error", "warning"} {
		if more := shown[level] - maxAnnotations; more > 0 {
			text += "; " + plural(more, "more "+level) + " not shown here"
		}
	}
	put("notice", "kqual", text, 0)
	return p.err
}

// githubData and githubProperty escape as the toolkit's command.ts does.
func githubData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(Printable(s))
}

func githubProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(githubData(s))
}
