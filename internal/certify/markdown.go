package certify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kqual/reports"
)

// Markdown is the statement on one page.
func (s *Statement) Markdown() string {
	var b strings.Builder
	md := reports.EscapeMarkdown
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s: %s\n", md(s.Kernel), s.Result)
	line("Run %s of %s (began %s), against %s; made %s by kqual %s.\n", md(s.Run), md(s.Matrix),
		s.Began.Format("2006-01-02 15:04 MST"), md(against(s)), s.Made.Format("2006-01-02 15:04 MST"), md(s.Tool))
	for _, why := range s.Why {
		line("- %s", md(why))
	}
	if len(s.Why) == 0 {
		text := fmt.Sprintf("Every one of %d cells has a firm answer that meets its expectation and is no worse than before.", len(s.Cells))
		if len(s.Waivers) > 0 {
			text += fmt.Sprintf(" Waivers excuse some: %d.", len(s.Waivers))
		}
		line("%s", text)
	}
	line("\n## Kernel\n\n| | |\n| --- | --- |")
	p := s.Provenance
	rows := [][2]string{{"source", p.Source}, {"version", p.Version}, {"architecture", p.Arch}, {"image, sha256", p.SHA256}}
	for _, key := range slices.Sorted(maps.Keys(p.Details)) {
		rows = append(rows, [2]string{key, p.Details[key]})
	}
	if n := len(s.Boots); n > 0 {
		boot := s.Boots[n-1]
		rows = append(rows, [2]string{"booted", fmt.Sprintf("%s: %s, %s, %d CPUs, QEMU %s", boot.Release, boot.Accel, boot.CPUModel, s.Machine.VCPUs, boot.QEMU)})
	}
	for _, r := range rows {
		if r[1] != "" {
			line("| %s | %s |", md(r[0]), md(r[1]))
		}
	}
	line("\n## Cells\n\n| cell | result | now | before | evidence |\n| --- | --- | --- | --- | --- |")
	for _, c := range s.Cells {
		result := string(c.Result)
		if c.Waiver != "" {
			result += ", waiver " + c.Waiver
		}
		evidence := s.Run
		if c.Evidence != nil {
			evidence = fmt.Sprintf("%s, %s", c.Evidence.Run, c.Evidence.Measured.Format(time.DateOnly))
		}
		line("| %s | %s | %s | %s | %s |", md(c.Cell), md(result), md(c.Text), md(c.Before), md(evidence))
	}
	if len(s.Waivers) > 0 {
		line("\n## Waivers\n")
		for _, w := range s.Waivers {
			line("- %s", md(w.String()))
		}
	}
	line("\n## Rests on\n\n| what | sha256 |\n| --- | --- |")
	for _, r := range s.Rests {
		line("| %s | `%s` |", md(r.What), md(r.SHA256))
	}
	return b.String()
}

func against(s *Statement) string {
	if s.Against == s.Base {
		return s.Base
	}
	return s.Against + " (" + s.Base + ")"
}
