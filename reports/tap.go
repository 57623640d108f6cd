package reports

import (
	"io"
	"strings"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "tap", Doc: "Test Anything Protocol, version 13: a line per cell", Render: renderTAP})
}

// renderTAP prints a line per cell. Source: https://testanything.org,
// "TAP version 13 specification".
func renderTAP(w io.Writer, r *Report, _ Options) error {
	p := &printer{w: w}
	p.printf("TAP version 13\n1..%d\n", len(r.Cells)+len(r.Missing))
	for i, c := range r.Cells {
		ok := "ok"
		directive := ""
		switch c.Gate {
		case matrix.GateUnmet, matrix.GateNoAnswer:
			ok = "not ok"
		case matrix.GateWaived: // a failure that readers know of and do not count
			ok, directive = "not ok", " # TODO "+tapText(c.GateText)
		}
		p.printf("%s %d - %s: %s%s\n", ok, i+1, tapText(c.ID()), tapText(c.Text), directive)
		if ok == "ok" || directive != "" {
			continue
		}
		p.printf("  ---\n  message: %s\n", yamlText(c.GateText))
		if why := reason(c); why != "" {
			p.printf("  reason: %s\n", yamlText(why))
		}
		p.printf("  repeat: %s\n  ...\n", yamlText(r.repeat(c)))
	}
	for i, id := range r.Missing {
		p.printf("ok %d - %s # SKIP planned, not run\n", len(r.Cells)+i+1, tapText(id))
	}
	for _, line := range r.Unverified() {
		p.printf("# %s\n", Printable(line))
	}
	p.printf("# %s: %s (exit %d)\n", gateWord(r), Printable(r.shortWhy()), r.Gate.Exit)
	return p.err
}

// tapText escapes what would begin a directive.
func tapText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(Printable(s))
}

// yamlText is a single-quoted YAML scalar.
func yamlText(s string) string { return "'" + strings.ReplaceAll(Printable(s), "'", "''") + "'" }
