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
	if v, err := c.Verify(t.Context()); v.Checked != 3 || len(v.Damage) != 0 || err != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	m, err := readManifest(good)
	must(t, err)
	for name := range m.Files {
		alterUnseen(t, filepath.Join(altered, name))
		must(t, os.Remove(filepath.Join(missing, name)))
	}
	v, err := c.Verify(t.Context())
	must(t, err)
	if v.Checked != 3 || len(v.Damage) != 2 || v.Damage[0].Entry != "kind/altered" || !strings.Contains(v.Damage[0].What, "was altered") ||
		v.Damage[1].Entry != "kind/missing" || !strings.Contains(v.Damage[1].What, "is missing") {
		t.Errorf("%+v", v)
	}
}
