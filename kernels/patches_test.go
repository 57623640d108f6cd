package kernels

import (
	"os"
	"strings"
	"testing"
)

// proposals are the patches that go on top of affected.
var proposals = []string{"excl-unlink", "prepare-report", "ihold", "pre-delete", "pre53"}

// TestEveryPatchIsAffectedOrGoesOnTopOfIt leaves out what matrices/bases.yaml
// builds on other sources (make full).
func TestEveryPatchIsAffectedOrGoesOnTopOfIt(t *testing.T) {
	known := map[string]bool{"affected": true}
	bases, err := os.ReadFile("../matrices/bases.yaml")
	must(t, err)
	for _, name := range []string{"affected-6.1", "affected-6.12", "ihold-reverted"} {
		known[name] = strings.Contains(string(bases), "patches: ["+name+"]")
	}
	for _, name := range proposals {
		known[name] = true
		list, err := loadRecipes(patchFiles, []string{name})
		must(t, err)
		header, _, _ := strings.Cut(list[0].body, "\n--- a/")
		for _, part := range []string{"linux-fsdevel, January 2022|order of v5.2", "on top of affected:", "with affected.patch."} {
			found := false
			for _, alternative := range strings.Split(part, "|") {
				found = found || strings.Contains(strings.ReplaceAll(header, "\n", " "), alternative)
			}
			if !found {
				t.Errorf("the header of %s does not say %q", name, part)
			}
		}
	}
	for _, name := range patchFiles.names() {
		if !known[name] {
			t.Errorf("no test builds %s", name)
		}
	}
}

// strictPatch makes a warning in a file that a proposal changes, and the tiny
// configuration compiles, an error.
const strictPatch = `--- a/fs/Makefile
+++ b/fs/Makefile
@@ -1,1 +1,3 @@
+CFLAGS_namei.o := -Werror
+CFLAGS_dcache.o := -Werror
 # SPDX-License-Identifier: GPL-2.0
--- a/fs/notify/Makefile
+++ b/fs/notify/Makefile
@@ -1,1 +1,2 @@
+CFLAGS_fsnotify.o := -Werror
 # SPDX-License-Identifier: GPL-2.0
--- a/fs/notify/inotify/Makefile
+++ b/fs/notify/inotify/Makefile
@@ -1,1 +1,2 @@
+CFLAGS_inotify_fsnotify.o := -Werror
 # SPDX-License-Identifier: GPL-2.0-only
--- a/fs/notify/fanotify/Makefile
+++ b/fs/notify/fanotify/Makefile
@@ -1,1 +1,2 @@
+CFLAGS_fanotify.o := -Werror
 # SPDX-License-Identifier: GPL-2.0-only
`

func TestVMTheProposalsBuildWithoutWarnings(t *testing.T) {
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("builds kernels; set KQUAL_VM=1 (make test does)")
	}
	dir, err := DefaultCacheDir()
	must(t, err)
	c, err := OpenCache(dir)
	must(t, err)
	env := Env{Cache: c, Kernel: "test", Progress: func(Event) {}}
	build := func(patches ...string) (*Image, error) {
		return buildSource{}.Fetch(t.Context(), env, realBuild(patches...))
	}
	patch := writeFile(t, "strict.patch", strictPatch)
	for _, name := range proposals {
		img, err := build("affected", name, patch)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		must(t, c.Discard(img))
	}
	// The patch does what it is for: a variable that nobody uses is an error.
	careless := writeFile(t, "careless.patch", `--- a/fs/notify/fsnotify.c
+++ b/fs/notify/fsnotify.c
@@ -1,1 +1,2 @@
+static int nobody_uses_this;
 // SPDX-License-Identifier: GPL-2.0-or-later
`)
	if img, err := build("affected", careless, patch); err == nil {
		t.Error("a warning passes")
		must(t, c.Discard(img))
	} else if !strings.Contains(err.Error(), "nobody_uses_this") {
		t.Errorf("got %v", err)
	}
}
