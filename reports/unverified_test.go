package reports

import (
	"strings"
	"testing"

	"kqual/matrix"
)

func TestEveryReportSaysWhichKernelIsUnverified(t *testing.T) {
	in := synthetic()
	const name = "debian-12"
	for i := range in.Runs {
		if p := &in.Runs[i].Provenance; in.Runs[i].Kernel == name {
			p.Source = "url"
			p.Details = map[string]string{matrix.DetailUnverified: "taken without a sha256 from https://example.org/bzImage"}
		}
	}
	r, verified := Build(in), Build(synthetic())
	says := map[string]string{
		"terminal": "UNVERIFIED: nothing vouches for kernel debian-12, taken without a sha256 from https://example.org/bzImage",
		"markdown": "UNVERIFIED: nothing vouches for kernel debian-12", "summary": "UNVERIFIED: nothing vouches for kernel debian-12",
		"html": "UNVERIFIED: nothing vouches for kernel debian-12", "json": `"unverified":"taken without a sha256`,
		"csv": "url (unverified)", "junit": "url (unverified)", "tap": "# UNVERIFIED", "github": "::warning title=unverified::UNVERIFIED",
		"svg": "debian-12 (unverified)", "png": "\x89PNG", "schema": "json-schema.org",
	}
	for _, f := range Formats() { // a new one has to say it, too
		if says[f.Name] == "" {
			t.Errorf("nothing shows that %s says it", f.Name)
		}
	}
	for format, want := range says {
		if text := render(t, format, r); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", format, want)
		}
		if text := render(t, format, verified); strings.Contains(text, "UNVERIFIED") || strings.Contains(text, "(unverified)") {
			t.Errorf("%s says unverified of a run where all is verified", format)
		}
	}
	if text := render(t, "terminal", r); strings.Count(text, "(unverified)") == 0 {
		t.Error("the table does not mark the row")
	}
}
