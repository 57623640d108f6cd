package reports

import (
	"maps"
	"slices"
	"strings"

	"kqual/matrix"
)

// provenance says everything about where a kernel came from, a term and its
// text each.
func provenance(p matrix.Provenance) [][2]string {
	out := [][2]string{}
	about := func(term, value string) {
		if value != "" {
			out = append(out, [2]string{Printable(term), Printable(value)})
		}
	}
	about("source", p.Source)
	about("version", p.Version)
	about("architecture", p.Arch)
	about("sha256 of the image", p.SHA256)
	for _, key := range slices.Sorted(maps.Keys(p.Details)) {
		about(key, p.Details[key])
	}
	var options []string
	for _, key := range slices.Sorted(maps.Keys(p.Config)) {
		options = append(options, key+"="+p.Config[key])
	}
	about("kernel options", strings.Join(options, " "))
	return out
}

// provenance is a paragraph of the kernel's evidence.
func (m *markdown) provenance(p matrix.Provenance) {
	var parts []string
	for _, a := range provenance(p) {
		parts = append(parts, EscapeMarkdown(a[0]+" "+a[1]))
	}
	if len(parts) > 0 {
		m.printf("From: %s\n\n", strings.Join(parts, "; "))
	}
}
