package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"kqual/kernels"
	"kqual/matrix"
)

// gitMatrix builds a commit of a repository at a path, and one at a URL.
const gitMatrix = `
version: 1
name: git
kernels:
  - name: by-path
    build: {source: {git: {path: %[1]q, rev: v5.10-debian}}, config: [tiny], patches: [affected]}
  - name: by-url
    build: {source: {git: {url: "file://%[1]s", rev: master}}, config: [tiny], patches: [affected]}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE,       inotify: [IN_DELETE]}
  - {name: IN_DELETE+nlink, inotify: [IN_DELETE], check: nlink}
expect:
  - {watch: IN_DELETE, verdict: affected, why: "49246466a989"}
  - {verdict: holds, why: "st_nlink is 0"}
`

// TestVMKernelBuiltFromGit builds a whole kernel from a repository with Debian's
// source of 5.10 as its only commit, with a patch that is not in it, and boots
// it. What is not committed must not be in it.
func TestVMKernelBuiltFromGit(t *testing.T) {
	needVM(t)
	if os.Getenv("KQUAL_FULL") != "1" {
		t.Skip("commits and builds a whole kernel; set KQUAL_FULL=1 (make full does)")
	}
	repo := t.TempDir()
	commit := commitKernel(t, repo)
	cfg, cat := testRun(t, fmt.Sprintf(gitMatrix, repo))
	// A cache of its own, so that the build is one; what ccache has is shared.
	dir := t.TempDir()
	shared := filepath.Join(cfg.CacheDir, "ccache")
	if err := os.MkdirAll(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(dir, "ccache")); err != nil {
		t.Fatal(err)
	}
	cache, err := kernels.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cache = cache
	builds := 0
	cfg.OnEvent = func(ev Event) {
		if ev.Fetch == nil {
			return
		}
		if t.Logf("%s: %+v", ev.Kernel, *ev.Fetch); strings.HasPrefix(ev.Fetch.Step, "build kernel") && !ev.Fetch.End {
			builds++
		}
	}
	begin := time.Now()
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		p := run.Provenance
		t.Logf("%s: %s, %v", run.Kernel, p.Version, p.Details)
		if p.Details["commit"] != commit || p.Details["compiler"] == "" || !strings.HasPrefix(p.Version, "5.10.") {
			t.Errorf("%s: provenance %+v, want commit %s", run.Kernel, p, commit)
		}
		for i, v := range matrix.Judge(run, cfg.Sampling, cat) {
			want := []matrix.VerdictKind{matrix.VerdictAffected, matrix.VerdictHolds}[i]
			if t.Logf("%s: %s", run.Cells[i].Cell.ID(), matrix.VerdictText(v)); v.Kind != want {
				t.Errorf("%s: %s, want %s", run.Cells[i].Cell.ID(), matrix.VerdictText(v), want)
			}
		}
	}
	// The same commit is the same kernel, wherever it is from.
	if builds != 1 || runs[0].Provenance.SHA256 != runs[1].Provenance.SHA256 {
		t.Errorf("%d builds, images %s and %s", builds, runs[0].Provenance.SHA256, runs[1].Provenance.SHA256)
	}
	t.Logf("built and booted in %s", time.Since(begin).Round(time.Second))
}

// commitKernel makes a repository of Debian's source of 5.10 in dir, with one
// commit, its tag, and a change that is not committed and does not compile. It
// returns the commit.
func commitKernel(t *testing.T, dir string) string {
	t.Helper()
	shared, err := kernels.DefaultCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := kernels.OpenCache(shared)
	if err != nil {
		t.Fatal(err)
	}
	var source kernels.DebianConfig
	if err := yaml.Unmarshal([]byte("{suite: bullseye, package: linux-source-5.10}"), &source); err != nil {
		t.Fatal(err)
	}
	deb, _, err := kernels.FetchDebianPackage(t.Context(), kernels.Env{Cache: cache, Kernel: "git", Progress: func(kernels.Event) {}}, source)
	if err != nil {
		t.Fatal(err)
	}
	unpacked := t.TempDir()
	if err := kernels.ExtractDeb(deb, func(name string) bool { return strings.Contains(name, ".tar") }, unpacked); err != nil {
		t.Fatal(err)
	}
	tarballs, _ := filepath.Glob(filepath.Join(unpacked, "usr/src/*.tar*"))
	if len(tarballs) != 1 {
		t.Fatalf("tarballs %q", tarballs)
	}
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git := func(args ...string) string {
		t.Helper()
		return run("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
	}
	run("tar", "--extract", "--strip-components=1", "--file", tarballs[0])
	git("init", "--quiet", "--initial-branch=master")
	// Its size does not matter, and finding what is alike takes minutes.
	git("config", "pack.window", "0")
	git("config", "core.compression", "0")
	git("add", "--all", "--force") // a source tree has files that its .gitignore names
	git("commit", "--quiet", "--message=source")
	git("tag", "v5.10-debian")
	file := filepath.Join(dir, "fs/namei.c")
	if err := os.WriteFile(file, []byte("#error not committed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return git("rev-parse", "v5.10-debian")
}
