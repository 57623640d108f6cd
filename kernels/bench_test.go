package kernels

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// Limits of the requirements that the benchmarks below keep to.
const (
	noChangeLimit = 2 * time.Second // for 30 kernels
	memoryLimit   = 300 << 20       // bytes, while the largest package is unpacked
)

// A fetch of 30 kernels of the size of Debian's cloud kernels, all of them in the
// cache: what kqual kernels fetch does when nothing has changed.
func BenchmarkNoChangeFetchOf30Kernels(b *testing.B) {
	const kernels, modules = 30, 1000
	m := newFakeMirror(b)
	noise := make([]byte, 24<<10) // a module's size; it does not pack
	fill := rand.NewChaCha8([32]byte{1})
	_, _ = fill.Read(noise)
	vmlinux := gzipped(append(fakeVmlinux(true), make([]byte, 48<<20)...))
	var names []string
	for n := range kernels {
		release := fmt.Sprintf("6.1.%d", n)
		files := fakeKernel(release, "./")
		files[1].body = append(fakeBzImage(release, vmlinux), make([]byte, 8<<20)...)
		for i := range modules {
			files = append(files, tarFile{name: fmt.Sprintf("./lib/modules/%s/kernel/fs/m%d/m.ko", release, i), body: noise})
		}
		names = append(names, "linux-image-"+release)
		m.add(names[n], release+"-1", "", debOf(member{"data.tar", tarOf(files...)}))
	}
	m.publish(b, "testing")
	dir := b.TempDir()
	fetch := func() {
		c, err := OpenCache(dir)
		must(b, err)
		defer c.close()
		for _, name := range names {
			config := m.config("testing")
			config.Package = name
			_, err := debianSource{}.Fetch(b.Context(), Env{Cache: c, Kernel: name, Progress: func(Event) {}}, config)
			must(b, err)
		}
	}
	fetch()
	m.takeGets()
	var worst time.Duration
	for b.Loop() {
		begin := time.Now()
		fetch()
		worst = max(worst, time.Since(begin))
	}
	if gets := m.takeGets(); len(gets) > 0 {
		b.Errorf("asked for %q", gets)
	}
	b.ReportMetric(float64(worst.Milliseconds()), "ms/worst")
	if worst > noChangeLimit {
		b.Errorf("a fetch without a change took %s, more than %s", worst, noChangeLimit)
	}
}

// Unpacking the largest package at hand: a kernel for real hardware, with all of
// its modules.
func BenchmarkVMUnpackTheLargestPackage(b *testing.B) {
	if os.Getenv("KQUAL_VM") != "1" {
		b.Skip("downloads a kernel of 70 MB; set KQUAL_VM=1 (make bench does)")
	}
	dir, err := DefaultCacheDir()
	must(b, err)
	shared, err := OpenCache(dir)
	must(b, err)
	config := DebianConfig{Suite: "bookworm", Package: "linux-image-6.1.*-amd64", Track: trackLatest}
	path, p, err := FetchDebianPackage(b.Context(), Env{Cache: shared, Progress: func(Event) {}}, config)
	must(b, err)
	b.Logf("%s %s: %d MB", p.Name, p.Version, p.Size>>20)
	var peak int64
	for b.Loop() {
		dst := filepath.Join(b.TempDir(), "kernel")
		// 5 sets the peak back (proc(5), clear_refs).
		must(b, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
		must(b, ExtractDeb(path, wantedFile, dst))
		must(b, arrange(dst, p.Name))
		peak = max(peak, peakMemory(b))
	}
	b.ReportMetric(float64(peak>>20), "MiB/peak-RSS")
	if peak > memoryLimit {
		b.Errorf("unpacking took %d MiB, more than %d", peak>>20, memoryLimit>>20)
	}
}

// peakMemory is the most memory that this process had resident, in bytes.
func peakMemory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			must(t, err)
			return kilobytes << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
