package kernels

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// gitRepo is a repository of the fake source with one commit, tagged v1.
type gitRepo struct {
	t   *testing.T
	dir string
}

func newGitRepo(t *testing.T) *gitRepo {
	t.Helper()
	r := &gitRepo{t, writeTree(t, fakeSource())}
	r.git("init", "--quiet", "--initial-branch=main")
	r.commit()
	r.git("tag", "v1")
	return r
}

func (r *gitRepo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits everything and returns the commit.
func (r *gitRepo) commit() string {
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message=x")
	return r.git("rev-parse", "HEAD")
}

// change commits another fs/a.c.
func (r *gitRepo) change(body string) string {
	must(r.t, os.WriteFile(filepath.Join(r.dir, "fs/a.c"), []byte(body), 0o644))
	return r.commit()
}

func (b *builder) fetchGit(g gitOrigin, patches ...string) (*Image, error) {
	return buildSource{}.Fetch(b.t.Context(), b.Env, buildConfig{Source: buildOrigin{Git: &g}, Config: []string{b.config}, Patches: patches})
}

func (b *builder) buildGit(g gitOrigin, patches ...string) *Image {
	b.t.Helper()
	img, err := b.fetchGit(g, patches...)
	must(b.t, err)
	return img
}

func TestBuildFromARepositoryNamesItsCommit(t *testing.T) {
	b, r := newBuilder(t, fakeSource()), newGitRepo(t)
	first := r.git("rev-parse", "v1")
	second := r.change("int a;\nint second;\nint a3;\n")
	must(t, os.WriteFile(filepath.Join(r.dir, "fs/a.c"), []byte("int uncommitted;\n"), 0o644))
	recipes := map[string]bool{}
	for _, test := range []struct{ rev, commit string }{{"v1", first}, {"main", second}, {"main~1", first}, {first[:12], first}, {second, second}} {
		for _, g := range []gitOrigin{{Path: r.dir, Rev: test.rev}, {URL: "file://" + r.dir, Rev: test.rev}} {
			p := b.buildGit(g).Provenance
			want(t, "commit of "+test.rev, p.Details["commit"], test.commit)
			want(t, "source", p.Details["source"], test.rev+" of "+g.place())
			want(t, "version", p.Version, "5.10.223")
			recipes[p.Details["recipe"]] = true
		}
	}
	want(t, "recipes", len(recipes), 2) // one for each commit
	stepped := b.steps()
	want(t, "trees", len(slices.DeleteFunc(stepped, func(s string) bool { return s != "unpack" })), 2)
	img := b.buildGit(gitOrigin{Path: r.dir, Rev: "v1"}, writeFile(t, "a.patch", patchA), writeFile(t, "top.patch", patchOnTop))
	data, err := os.ReadFile(img.Vmlinuz)
	must(t, err)
	if !strings.Contains(string(data), "int patched;\nint a3;\nint a4;\n") {
		t.Error("the patches are not in the kernel")
	}
	want(t, "left behind", leftovers(t, b.Cache), nil)
}

func TestBranchOfARepositoryIsAskedForAndACommitIsNot(t *testing.T) {
	b, r := newBuilder(t, fakeSource()), newGitRepo(t)
	first := r.git("rev-parse", "v1")
	g := gitOrigin{URL: "file://" + r.dir, Rev: "main"}
	want(t, "commit", b.buildGit(g).Provenance.Details["commit"], first)
	second := r.change("int a;\nint second;\nint a3;\n")
	want(t, "commit", b.buildGit(g).Provenance.Details["commit"], second)
	must(t, os.Rename(r.dir, r.dir+".gone"))
	b.steps()
	want(t, "commit", b.buildGit(gitOrigin{URL: g.URL, Rev: second}).Provenance.Details["commit"], second)
	want(t, "steps", b.steps(), nil)
	want(t, "last copy of the branch", b.buildGit(g).Provenance.Details["commit"], second)
	_, err := b.fetchGit(gitOrigin{URL: g.URL, Rev: "v9"})
	if !refused(err) || !strings.Contains(err.Error(), "fetch v9 of "+g.URL) {
		t.Errorf("error %v", err)
	}
}

func TestRevisionThatIsNotThereIsNamed(t *testing.T) {
	b, r := newBuilder(t, fakeSource()), newGitRepo(t)
	for name, g := range map[string]gitOrigin{
		"no revision":     {Path: r.dir, Rev: "v9"},
		"no revision URL": {URL: "file://" + r.dir, Rev: "v9"},
		"no repository":   {Path: t.TempDir(), Rev: "v9"},
	} {
		_, err := b.fetchGit(g)
		if !refused(err) || !strings.Contains(err.Error(), "no commit v9 in "+g.place()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A server that says nothing more is given up (the test would not end), and
// leaves no commit behind.
func TestRepositoryThatStallsIsGivenUp(t *testing.T) {
	b := newBuilder(t, fakeSource())
	gitStall = time.Second
	t.Cleanup(func() { gitStall = stallTimeout })
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000"))
		w.(http.Flusher).Flush()
		<-done
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	_, err := b.fetchGit(gitOrigin{URL: server.URL + "/linux.git", Rev: "v1"})
	if !refused(err) || !strings.Contains(err.Error(), "fetch v1 of "+server.URL) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	want(t, "left behind", leftovers(t, b.Cache, "build", "tree"), nil)
}

func TestCompilerOfTheMatrixIsUsedAndPartOfTheRecipe(t *testing.T) {
	files := fakeSource()
	files["Makefile"] = strings.Replace(files["Makefile"], "bzImage: $(objects)\n", "bzImage: $(objects)\n\t@echo \"$(CC)\" > compiler\n", 1)
	b := newBuilder(t, files)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	compiler := func(version string) {
		must(t, os.WriteFile(filepath.Join(bin, "mycc-1"), []byte("#!/bin/sh\necho 'mycc "+version+"'\necho more\n"), 0o755))
	}
	build := func(cc string) (*Image, error) {
		return buildSource{}.Fetch(t.Context(), b.Env, buildConfig{Source: buildOrigin{Tree: b.source}, Config: []string{b.config}, CC: cc})
	}
	recipes := map[string]bool{}
	for _, version := range []string{"1.0", "1.1"} {
		compiler(version)
		img, err := build("mycc-1")
		must(t, err)
		want(t, "compiler", img.Provenance.Details["compiler"], "mycc "+version)
		recipes[img.Provenance.Details["recipe"]] = true
	}
	used, err := filepath.Glob(filepath.Join(b.Cache.Dir(), "tree/*/src/compiler"))
	must(t, err)
	for _, path := range used {
		data, err := os.ReadFile(path)
		must(t, err)
		want(t, "CC", strings.TrimSpace(string(data)), "mycc-1")
	}
	recipes[b.build().Provenance.Details["recipe"]] = true
	want(t, "recipes", len(recipes), 3)
	_, err = build("mycc-9")
	if !refused(err) || err.Error() != "the compiler mycc-9 is not installed" {
		t.Errorf("error %v", err)
	}
}

func TestCcacheHelpsASecondTree(t *testing.T) {
	if _, err := exec.LookPath("ccache"); err != nil {
		t.Skip("no ccache here (apt-get install ccache)")
	}
	files := fakeSource()
	files["Makefile"] = strings.Replace(files["Makefile"], "@cp $< $@", "@gcc -c -o $@ $<", 1)
	b := newBuilder(t, files)
	hits := func() string {
		cmd := exec.Command("ccache", "--print-stats")
		cmd.Env = append(os.Environ(), "CCACHE_DIR="+filepath.Join(b.Cache.Dir(), ccacheKind, ccacheKey, "objects"))
		out, err := cmd.Output()
		must(t, err)
		for line := range strings.Lines(string(out)) {
			if n, ok := strings.CutPrefix(line, "preprocessed_cache_hit\t"); ok && strings.TrimSpace(n) != "0" {
				return strings.TrimSpace(n)
			}
			if n, ok := strings.CutPrefix(line, "direct_cache_hit\t"); ok && strings.TrimSpace(n) != "0" {
				return strings.TrimSpace(n)
			}
		}
		return "0"
	}
	img := b.build()
	if said := img.Provenance.Details["ccache"]; !strings.HasPrefix(said, "ccache version ") {
		t.Errorf("provenance says %q of ccache", said)
	}
	want(t, "hits", hits(), "0")
	b.config = writeFile(t, "other.config", "CONFIG_SMP=y\n") // another tree
	b.build()
	want(t, "hits", hits(), "2")
}

func TestBuildWithoutCcacheSaysNothingOfIt(t *testing.T) {
	b := newBuilder(t, fakeSource())
	bin := t.TempDir() // every program of the build but ccache
	for _, name := range []string{"sh", "cp", "cat", "cut", "echo", "grep", "mkdir", "rm", "printf", "sleep", "gcc", "make", "flex", "bison", "bc", "patch", "xz", "tar", "ld", "perl"} {
		if path, err := exec.LookPath(name); err == nil {
			must(t, os.Symlink(path, filepath.Join(bin, name)))
		}
	}
	t.Setenv("PATH", bin)
	if said, there := b.build().Provenance.Details["ccache"]; there {
		t.Errorf("provenance says %q of ccache", said)
	}
}
