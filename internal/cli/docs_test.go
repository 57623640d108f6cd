package cli

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"kqual/kernels"
	"kqual/matrix"
)

func TestDocumentedKernelsParse(t *testing.T) {
	data, err := os.ReadFile("../../docs/kernels.md")
	if err != nil {
		t.Fatal(err)
	}
	var entries strings.Builder
	for i, part := range strings.Split(string(data), "```") {
		if yaml, ok := strings.CutPrefix(part, "yaml\n"); ok && i%2 == 1 {
			entries.WriteString(yaml)
		}
	}
	text := "version: 1\nname: docs\nkernels:\n" + entries.String() +
		"filesystems: [tmpfs]\nscenarios: [unlink]\nwatches:\n- {name: w, inotify: [IN_DELETE]}\n"
	spec, err := matrix.Parse("docs/kernels.md", []byte(text), catalog())
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, k := range spec.Kernels {
		shown[k.Source] = true
	}
	for _, s := range kernels.Sources() {
		if name := s.Catalog().Name; !shown[name] {
			t.Errorf("docs/kernels.md does not show the source %s", name)
		}
	}
}

func TestDocumentedCostsParse(t *testing.T) {
	data, err := os.ReadFile("../../docs/measuring-costs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	costs, _, _ := strings.Cut(rest, "```")
	text := "version: 1\nname: docs\nkernels: [{name: v5.10-stock, file: {vmlinuz: x}}]\n" + costs +
		"filesystems: [tmpfs]\nscenarios: [unlink]\nwatches:\n- {name: w, inotify: [IN_DELETE]}\n"
	spec, err := matrix.Parse("docs/measuring-costs.md", []byte(text), catalog())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := matrix.Parse("m", []byte(strings.Replace(text, costs, "costs: {baseline: v5.10-stock}\n", 1)), catalog())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(spec.Costs, plain.Costs) {
		t.Errorf("the document says that the default is %+v, it is %+v", spec.Costs, plain.Costs)
	}
}
