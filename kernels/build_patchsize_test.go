package kernels

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// git counts the same.
func TestSizesOfThePatches(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here (apt-get install git)")
	}
	patches, err := loadRecipes(patchFiles, patchFiles.names())
	must(t, err)
	for _, p := range patches {
		size := p.size()
		cmd := exec.Command("git", "apply", "--numstat")
		cmd.Stdin = strings.NewReader(p.body)
		out, err := cmd.Output()
		must(t, err)
		files, added, removed := 0, 0, 0
		for line := range strings.Lines(string(out)) {
			var a, r int
			_, err := fmt.Sscanf(line, "%d %d", &a, &r)
			must(t, err)
			files, added, removed = files+1, added+a, removed+r
		}
		if size.Name != p.name || size.Files != files || size.Added != added || size.Removed != removed || added == 0 {
			t.Errorf("%+v, git says %d files, %d added, %d removed", size, files, added, removed)
		}
	}
}

func TestProvenanceOfABuildHasItsPatches(t *testing.T) {
	b := newBuilder(t, fakeSource())
	first, top := writeFile(t, "a.patch", patchA), writeFile(t, "top.patch", patchOnTop)
	img := b.build(first, top)
	patches := img.Provenance.Patches
	if len(patches) != 2 || patches[0].Name != "a" || patches[1].Name != "top" || patches[0].Added == 0 || patches[0].Files != 1 || patches[0].Base {
		t.Errorf("%+v", patches)
	}
	// With a base of its own it is the same kernel; reports tell the patches apart.
	based, err := buildSource{}.Fetch(t.Context(), b.Env, buildConfig{
		Source: buildOrigin{Tree: b.source}, Config: []string{b.config}, Base: &buildBase{Patches: []string{first}}, Patches: []string{top},
	})
	must(t, err)
	if p := based.Provenance; p.SHA256 != img.Provenance.SHA256 || p.Details["patches"] != img.Provenance.Details["patches"] || !p.Patches[0].Base || p.Patches[1].Base {
		t.Errorf("%+v", p)
	}
}
