package kernels

import (
	"os"
	"testing"
	"time"
)

// The first build of a tree and a further variant, without the download: source
// and index are the cache's, the tree is a fresh one.
func BenchmarkVMBuild(b *testing.B) {
	if os.Getenv("KQUAL_VM") != "1" {
		b.Skip("builds kernels; set KQUAL_VM=1 (make bench does)")
	}
	dir, err := DefaultCacheDir()
	must(b, err)
	shared, err := OpenCache(dir)
	must(b, err)
	config := realBuild()
	src, err := config.Source.resolve(b.Context(), Env{Cache: shared, Progress: func(Event) {}})
	must(b, err)
	must(b, src.get(b.Context()))
	fragments, err := loadRecipes(configFiles, config.Config)
	must(b, err)
	options, err := mergeFragments(fragments)
	must(b, err)
	build := func(t *tree, names ...string) time.Duration {
		patches, err := loadRecipes(patchFiles, names)
		must(b, err)
		begin := time.Now()
		must(b, t.use(b.Context(), func() error {
			return t.make(b.Context(), patches, localVersion(names, hashStrings(names...)), b.TempDir())
		}))
		return time.Since(begin)
	}
	var first, variant time.Duration
	for b.Loop() {
		c, err := OpenCache(b.TempDir())
		must(b, err)
		t := &tree{dir: c.Dir() + "/tree/bench", env: Env{Cache: c, Progress: func(Event) {}}, source: src, options: options}
		first += build(t, "affected")
		variant += build(t, "affected", "excl-unlink")
	}
	b.ReportMetric(first.Seconds()/float64(b.N), "s/first-build")
	b.ReportMetric(variant.Seconds()/float64(b.N), "s/variant")
}
