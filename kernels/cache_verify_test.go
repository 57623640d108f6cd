package kernels

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerifyOfTheCacheFindsAlteredAndMissingFiles(t *testing.T) {
	c := openTestCache(t)
	good, err := c.Entry(t.Context(), "kind", "good", fill)
	must(t, err)
	altered, err := c.Entry(t.Context(), "kind", "altered", fill)
	must(t, err)
	missing, err := c.Entry(t.Context(), "kind", "missing", fill)
	must(t, err)
	if n, damage, err := c.Verify(t.Context()); n != 3 || len(damage) != 0 || err != nil {
		t.Fatalf("%d entries, %v, %v", n, damage, err)
	}
	m, err := readManifest(good)
	must(t, err)
	for name := range m.Files {
		alterUnseen(t, filepath.Join(altered, name))
		must(t, os.Remove(filepath.Join(missing, name)))
	}
	n, damage, err := c.Verify(t.Context())
	must(t, err)
	if n != 3 || len(damage) != 2 || damage[0].Entry != "kind/altered" || !strings.Contains(damage[0].What, "was altered") ||
		damage[1].Entry != "kind/missing" || !strings.Contains(damage[1].What, "is missing") {
		t.Errorf("%d entries, %+v", n, damage)
	}
}
