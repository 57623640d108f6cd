package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

// What trees are called in the cache, and the file that says that one is whole.
const (
	treeKind  = "tree"
	treeReady = "ready"
)

func init() {
	declareKind(cacheKind{name: treeKind, mark: treeReady})
}

// tree is a kernel source tree in the cache that is built in. It stays between
// builds, so that only what a patch touches is compiled again.
type tree struct {
	dir     string // with src/, pristine/ and files that tell the state
	env     Env
	source  *origin
	options map[string]string // what the config fragments ask for
	places  map[string]string // where they do: option → "fragment tiny, line 3"
	cc      string            // the compiler; empty for make's own choice
	vars    []string          // NAME=VALUE over the environment of a build
	ccache  string            // what ccache calls itself; empty where there is none

	lock   *os.File // held by this process and by every program it starts in the tree
	killed bool     // a program was killed in the middle of its work
	log    string   // where the output of a failed program goes
}

func (t *tree) src() string      { return filepath.Join(t.dir, "src") }
func (t *tree) pristine() string { return filepath.Join(t.dir, "pristine") }

func (t *tree) step(text string) func() {
	t.env.Progress(Event{Kernel: t.env.Kernel, Step: text})
	return func() { t.env.Progress(Event{Kernel: t.env.Kernel, Step: text, End: true}) }
}

// use locks the tree, unpacks it where it is not there, and calls work. While
// work lasts the tree has no mark that it is whole: should this process die, or
// a compiler be killed while it writes, the next use starts from the source.
func (t *tree) use(ctx context.Context, work func() error) error {
	if err := t.acquire(ctx); err != nil {
		return err
	}
	defer t.lock.Close()
	ready := filepath.Join(t.dir, treeReady)
	if _, err := os.Stat(ready); err != nil {
		if err := t.unpack(ctx); err != nil {
			return err
		}
	} else if err := os.Remove(ready); err != nil {
		return err
	}
	err := work()
	if t.killed {
		return err
	}
	return errors.Join(err, t.settle(ready))
}

// settle marks the tree as whole once all of it is on the disk.
func (t *tree) settle(ready string) error {
	if err := syncFiles(t.dir); err != nil {
		return fmt.Errorf("write the tree: %w", err)
	}
	return atomicfile.Write(ready, nil)
}

// acquire takes the tree's lock, the one of Cache.Lock by another way: programs
// inherit it, so after a sudden death of this process the tree is free when the
// last compiler has ended.
func (t *tree) acquire(ctx context.Context) (err error) {
	dir := filepath.Join(t.env.Cache.Dir(), "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("lock the tree: %w", err)
	}
	t.lock, err = os.OpenFile(filepath.Join(dir, treeKind+"-"+filepath.Base(t.dir)+".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("lock the tree: %w", err)
	}
	var said func()
	for {
		if err = unix.Flock(int(t.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		if said == nil {
			said = t.step("wait for another build of " + t.source.what)
			defer said()
		}
		select {
		case <-ctx.Done():
			t.lock.Close()
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
	if err != nil {
		t.lock.Close()
		return fmt.Errorf("lock the tree: %w", err)
	}
	return nil
}

// unpack makes the tree anew. On failure nothing of it is left.
func (t *tree) unpack(ctx context.Context) (err error) {
	defer t.step("unpack " + t.source.what)()
	if err := os.RemoveAll(t.dir); err != nil {
		return fmt.Errorf("remove a half-made tree: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(t.dir)
			err = about("unpack "+t.source.what, err)
		}
	}()
	if err := os.MkdirAll(t.pristine(), 0o755); err != nil {
		return err
	}
	return t.source.unpack(t.src(), func(dir, program string, args ...string) error {
		return t.runIn(ctx, dir, program, args...)
	})
}

// What a build leaves in its cache entry.
const (
	builtImage  = "vmlinuz"
	builtConfig = "config"
	builtCcache = "ccache" // the version of ccache, where it helped
)

// make builds one variant of the tree and puts the results into dst.
func (t *tree) make(ctx context.Context, patches []recipe, localVersion, dst string) error {
	t.log = filepath.Join(t.dir, "build"+localVersion+".log")
	if err := os.Remove(t.log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := t.patch(ctx, patches); err != nil {
		return err
	}
	if err := t.configure(ctx); err != nil {
		return err
	}
	defer t.step("build kernel" + localVersion)()
	// The release is the source's own with the variant behind it; setlocalversion
	// reads it from here, and only what includes the release is compiled again.
	variant := content{true, 0o644, []byte(localVersion + "\n")}
	if err := variant.write(filepath.Join(t.src(), "localversion-kqual")); err != nil {
		return err
	}
	to := t.env.target()
	if err := t.runMake(ctx, fmt.Sprintf("-j%d", runtime.NumCPU()), to.goal); err != nil {
		return t.failed(err, "build the kernel")
	}
	image := filepath.Join(dst, builtImage)
	for from, to := range map[string]string{to.built: image, ".config": filepath.Join(dst, builtConfig)} {
		if err := copyFile(filepath.Join(t.src(), from), to); err != nil {
			return fmt.Errorf("take what was built: %w", err)
		}
	}
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	h, err := to.parse(data)
	if err != nil {
		return fmt.Errorf("read what was built: %w", err)
	}
	if !strings.Contains(h.release, localVersion) {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("the kernel that was built calls itself %q, without %s", h.release, localVersion),
			Hint: "the source must take its release from localversion files, as scripts/setlocalversion does",
		}
	}
	if t.ccache == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dst, builtCcache), []byte(t.ccache), 0o644)
}

// runMake runs make in the source directory, with the compiler of the matrix.
func (t *tree) runMake(ctx context.Context, args ...string) error {
	if t.cc != "" {
		args = append([]string{"CC=" + t.cc}, args...)
	}
	return t.run(ctx, "make", args...)
}

// run runs a program in the source directory.
func (t *tree) run(ctx context.Context, program string, args ...string) error {
	return t.runIn(ctx, t.src(), program, args...)
}

func (t *tree) runIn(ctx context.Context, dir, program string, args ...string) error {
	killed, err := runCommand(ctx, t.lock, t.vars, dir, program, args...)
	t.killed = t.killed || killed
	return err
}

// failed keeps the output of a failed make and names the lines that matter.
func (t *tree) failed(err error, what string) error {
	var c *commandError
	if !errors.As(err, &c) {
		return err
	}
	log := t.log
	if werr := os.WriteFile(log, c.output, 0o644); werr != nil {
		log = ""
	}
	return &matrix.Failure{Side: matrix.SideKernel, Reason: what + ": " + c.summary(), Log: log, Hint: c.hint()}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
