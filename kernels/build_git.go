package kernels

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

// gitOrigin is the git: part of a build's source: a commit of a repository.
type gitOrigin struct {
	Path string `yaml:"path"` // a repository on this machine
	URL  string `yaml:"url"`
	Rev  string `yaml:"rev" kqual:"required"` // a tag, a branch, a commit
}

// gitKind has copies of repositories, by the hash of their URL.
const gitKind = "git"

// gitHead is the file that a repository has from its first moment on; its time
// tells of the last use.
const gitHead = "HEAD"

func init() {
	declareKind(cacheKind{name: gitKind, mark: gitHead, damaged: damagedRepository})
}

// damagedRepository lets git hash all objects of a repository.
func damagedRepository(ctx context.Context, path string) (string, error) {
	_, err := git(ctx, path, "fsck", "--full", "--no-dangling", "--no-progress")
	if err != nil && ctx.Err() == nil {
		return oneLine(err), nil
	}
	return "", err
}

var (
	gitURL    = regexp.MustCompile(`^(https?|git|ssh|file)://.`) // no others: ext:: runs a program
	gitRev    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./~^+-]*$`)
	gitCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// DecodeStrict lets a matrix fail before anything is fetched.
func (g *gitOrigin) DecodeStrict(node *yaml.Node, path string) matrix.Problems {
	type plain gitOrigin
	problems := matrix.DecodeStrict(node, path, (*plain)(g))
	if len(problems) > 0 {
		return problems
	}
	wrong := func(key, what string) {
		problems = append(problems, matrix.Problem{Line: lineOf(node, key), Path: path + "." + key, What: what})
	}
	if (g.Path == "") == (g.URL == "") {
		wrong("url", "name exactly one of path and url")
	}
	if g.URL != "" && !gitURL.MatchString(g.URL) {
		wrong("url", fmt.Sprintf("%q is no https, http, git, ssh or file URL", g.URL))
	}
	if !gitRev.MatchString(g.Rev) {
		wrong("rev", fmt.Sprintf("%q is no revision; write a tag, a branch or a commit", g.Rev))
	}
	return problems
}

// place is where the repository is, without a password.
func (g gitOrigin) place() string {
	if g.Path != "" {
		return g.Path
	}
	return bareURL(g.URL)
}

func (g gitOrigin) fetch(ctx context.Context, env Env) (*origin, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, &matrix.Failure{Side: matrix.SideHost, Reason: "source in a git repository needs git, and there is none", Hint: "apt-get install git"}
	}
	repo, err := filepath.Abs(g.Path)
	if err != nil {
		return nil, err
	}
	rev := g.Rev
	if env.Pin != nil && env.Pin.Build != nil { // a branch may have moved on
		rev = env.Pin.Build.Source
		g.Rev = rev
	}
	if g.URL != "" {
		if repo, rev, err = g.mirror(ctx, env); err != nil {
			return nil, err
		}
	}
	commit, err := resolveRev(ctx, repo, rev)
	if err != nil {
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("no commit %s in %s: %s", g.Rev, g.place(), oneLine(err)),
			Hint: "correct rev: in the matrix",
		}
	}
	return &origin{what: g.Rev + " of " + g.place(), hash: commit, repository: repo}, nil
}

// resolveRev returns the hash of the commit that rev names.
func resolveRev(ctx context.Context, repo, rev string) (string, error) {
	out, err := git(ctx, repo, "rev-parse", "--verify", "--end-of-options", rev+"^{commit}")
	return strings.TrimSpace(out), err
}

// mirror is a bare repository in the cache that has the commit, and what to
// call that there. A commit that is there is not asked for; of a tag or branch
// the last copy has to do where the server cannot be reached.
func (g gitOrigin) mirror(ctx context.Context, env Env) (repo, rev string, err error) {
	key := hashStrings(g.URL)
	repo = env.Cache.path(gitKind, key)
	if env.Cache.note(gitKind, key); env.Cache.named != nil {
		rev, err := g.lastCopy(ctx, repo)
		return repo, rev, err
	}
	unlock, err := env.Cache.Lock(ctx, gitKind+"-"+key)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if err := os.MkdirAll(repo, 0o755); err != nil {
		return "", "", err
	}
	if !env.Cache.keep(repo, true) {
		return "", "", fmt.Errorf("the copy of %s was removed while it was used", bareURL(g.URL))
	}
	if _, err := os.Stat(filepath.Join(repo, gitHead)); err != nil {
		if _, err := git(ctx, repo, "init", "--quiet", "--bare"); err != nil {
			return "", "", err
		}
	}
	touch(filepath.Join(repo, gitHead))
	if gitCommit.MatchString(g.Rev) {
		if _, err := resolveRev(ctx, repo, g.Rev); err == nil {
			return repo, g.Rev, nil
		}
	}
	if env.Cache.Offline {
		rev, err := g.lastCopy(ctx, repo)
		return repo, rev, err
	}
	step := Event{Kernel: env.Kernel, Step: "fetch " + g.Rev + " of " + bareURL(g.URL)}
	env.Progress(step)
	defer func() { step.End = true; env.Progress(step) }()
	// One commit is 200 MB of Linux, all of them are several GB. What is neither
	// a tag nor a branch (v5.16~2) can be found among all of them only.
	kept := g.ref()
	_, err = git(ctx, repo, "fetch", "--quiet", "--no-tags", "--depth=1", "--", g.URL, "+"+g.Rev+":"+kept)
	if err == nil {
		return repo, kept, nil
	}
	if !lostServer.MatchString(err.Error()) {
		if err = g.fetchAll(ctx, repo); err == nil {
			return repo, g.Rev, nil
		}
	}
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if rev, rerr := g.lastCopy(ctx, repo); rerr == nil {
		env.Progress(Event{Kernel: env.Kernel, End: true, Step: fmt.Sprintf("use the copy of %s: %v", g.Rev, oneLine(err))})
		return repo, rev, nil
	}
	return "", "", &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("fetch %s of %s: %s", g.Rev, bareURL(g.URL), oneLine(err)),
		Hint: "correct url: in the matrix, or check the network; a repository on this machine is named with path:",
	}
}

// lostServer is what git says where the server cannot be reached, or says no
// more: asking it for something else is of no use.
var lostServer = regexp.MustCompile(`unable to access|RPC failed|Connection timed out|Could not resolve`)

// fetchAll brings everything that branches and tags lead to.
func (g gitOrigin) fetchAll(ctx context.Context, repo string) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--prune"}
	if shallow, err := git(ctx, repo, "rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(shallow) == "true" {
		args = append(args, "--unshallow")
	}
	_, err := git(ctx, repo, append(args, "--", g.URL, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...)
	return err
}

// ref is what the copy of a revision is called in the cache's repository.
func (g gitOrigin) ref() string { return "refs/kqual/" + hashStrings(g.Rev) }

// lastCopy is what to call the revision in a repository of the cache as it is.
func (g gitOrigin) lastCopy(ctx context.Context, repo string) (rev string, err error) {
	for _, rev := range []string{g.ref(), g.Rev} {
		if _, err := resolveRev(ctx, repo, rev); err == nil {
			return rev, nil
		}
	}
	return "", notInCache(g.Rev + " of " + bareURL(g.URL))
}

// gitStall ends a transfer over http that delivers nothing for so long. A
// variable for tests.
var gitStall = stallTimeout

// git runs git in a repository and returns what it prints. It asks nobody for a
// password, speaks only what gitURL lets through, and leaves nothing running.
func git(ctx context.Context, repo string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", repo, "-c", "gc.auto=0"}, args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GIT_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=http:https:git:ssh:file",
		"GIT_HTTP_LOW_SPEED_LIMIT=1", fmt.Sprintf("GIT_HTTP_LOW_SPEED_TIME=%.0f", gitStall.Seconds())) // bytes per second, seconds
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
