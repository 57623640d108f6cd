package reports

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

func TestArchitecturesAreShownWhereThereAreSeveral(t *testing.T) {
	in := synthetic()
	for i := range in.Runs {
		k := &in.Runs[i]
		k.Machine.Arch = "amd64"
		if k.Kernel == "debian-12" {
			k.Machine.Arch, k.Provenance.Arch = "arm64", "arm64"
			k.Boots[0].Release = "6.1.0-37-mine"
		}
	}
	several, one := Build(in), Build(synthetic())
	for format, want := range map[string]string{
		"terminal": "cells, amd64 and arm64, ", "markdown": "amd64 and arm64, QEMU ", "html": "6.1.0-37-mine (arm64)",
		"json": `"arch": "arm64"`, "junit": `<property name="arch" value="arm64">`,
	} {
		if text := render(t, format, several); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", format, want)
		}
		if text := render(t, format, one); strings.Contains(text, "arm64") {
			t.Errorf("%s says arm64 of a run without it", format)
		}
	}
	for _, format := range []string{"terminal", "markdown"} {
		text := render(t, format, several)
		if !strings.Contains(strings.Join(strings.Fields(text), " "), "6.1.0-37-mine (arm64)") {
			t.Errorf("%s does not mark the row", format)
		}
		if strings.Contains(text, "amd64 (amd64)") {
			t.Errorf("%s says twice what the release says", format)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(render(t, "csv", several))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(rows[0], "arch")
	for _, row := range rows[1:] {
		if want := map[bool]string{true: "arm64", false: "amd64"}[row[0] == "debian-12"]; row[9] != "missing" && row[at] != want {
			t.Errorf("csv: %s is %s, want %s", row[0], row[at], want)
		}
	}
}
