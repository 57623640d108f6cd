package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

// tree is a kernel source tree in the cache that is built in. It stays between
// builds, so that only what a patch touches is compiled again. Whoever uses it
// holds its lock.
type tree struct {
	dir    string // with src/, pristine/ and state files
	env    Env
	source *origin
}

func (t *tree) src() string      { return filepath.Join(t.dir, "src") }
func (t *tree) pristine() string { return filepath.Join(t.dir, "pristine") }

func (t *tree) step(text string) func() {
	t.env.Progress(Event{Kernel: t.env.Kernel, Step: text})
	return func() { t.env.Progress(Event{Kernel: t.env.Kernel, Step: text, End: true}) }
}

// prepare unpacks and configures the tree, once. A tree that was left
// half-made is made again.
func (t *tree) prepare(ctx context.Context, fragments []recipe) error {
	ready := filepath.Join(t.dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return nil
	}
	if err := os.RemoveAll(t.dir); err != nil {
		return fmt.Errorf("remove a half-made tree: %w", err)
	}
	if err := os.MkdirAll(t.pristine(), 0o755); err != nil {
		return err
	}
	if err := t.unpack(ctx); err != nil {
		return fmt.Errorf("unpack %s: %w", t.source.what, err)
	}
	if err := t.configure(ctx, fragments); err != nil {
		return err
	}
	return atomicfile.Write(ready, nil)
}

func (t *tree) unpack(ctx context.Context) error {
	defer t.step("unpack " + t.source.what)()
	tarball := t.source.tarball
	switch {
	case t.source.tree != "":
		return command(ctx, t.dir, "cp", "-a", "--reflink=auto", t.source.tree, t.src())
	case t.source.deb != "":
		tmp := filepath.Join(t.dir, "deb")
		defer os.RemoveAll(tmp)
		wanted := func(name string) bool {
			return strings.HasPrefix(name, "usr/src/linux-source-") && strings.Contains(name, ".tar")
		}
		if err := ExtractDeb(t.source.deb, wanted, tmp); err != nil {
			return err
		}
		found, _ := filepath.Glob(filepath.Join(tmp, "usr/src/linux-source-*.tar*"))
		if len(found) != 1 {
			return &matrix.Failure{Side: matrix.SideKernel, Reason: t.source.what + " holds no source tarball", Hint: "name a linux-source-… package"}
		}
		tarball = found[0]
	}
	if err := os.Mkdir(t.src(), 0o755); err != nil {
		return err
	}
	abs, err := filepath.Abs(tarball)
	if err != nil {
		return err
	}
	return command(ctx, t.src(), "tar", "--extract", "--strip-components=1", "--no-same-owner", "--file", abs)
}

// configure makes the .config: allnoconfig with the fragments over it. An
// option of a fragment that did not stick is an error that names it.
func (t *tree) configure(ctx context.Context, fragments []recipe) error {
	all := filepath.Join(t.dir, "fragments.config")
	if err := os.WriteFile(all, []byte(strings.Join(bodies(fragments), "\n")), 0o644); err != nil {
		return err
	}
	if err := command(ctx, t.src(), "make", "KCONFIG_ALLCONFIG="+all, "allnoconfig"); err != nil {
		return fmt.Errorf("configure the kernel: %w", err)
	}
	config, err := os.ReadFile(filepath.Join(t.src(), ".config"))
	if err != nil {
		return err
	}
	if lost := lostOptions(fragments, string(config)); len(lost) > 0 {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: "these options of the config fragments did not stick: " + strings.Join(lost, ", "),
			Hint: "they depend on options that are off, or this source does not have them",
		}
	}
	return nil
}

var (
	setOption   = regexp.MustCompile(`^(CONFIG_\w+)=(.*)$`)
	unsetOption = regexp.MustCompile(`^# (CONFIG_\w+) is not set$`)
)

// options reads a .config or a fragment; an option that is off has the value n.
func options(text string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if m := setOption.FindStringSubmatch(line); m != nil {
			out[m[1]] = m[2]
		} else if m := unsetOption.FindStringSubmatch(line); m != nil {
			out[m[1]] = "n"
		}
	}
	return out
}

// lostOptions lists what the fragments ask for, the last one winning, and the
// configuration does not have.
func lostOptions(fragments []recipe, config string) []string {
	have := options(config)
	want := map[string]string{}
	for _, f := range fragments {
		for name, value := range options(f.body) {
			want[name] = value
		}
	}
	var lost []string
	for name, value := range want {
		if got := have[name]; got != value && !(value == "n" && got == "") {
			lost = append(lost, name+"="+value)
		}
	}
	sort.Strings(lost)
	return lost
}

// patch brings the tree to the source with exactly these patches. A file is
// written only where its text changes, so make compiles no more than needed.
func (t *tree) patch(ctx context.Context, patches []recipe) error {
	touched, err := t.touched()
	if err != nil {
		return err
	}
	for _, p := range patches {
		for _, name := range patchedFiles(p.body) {
			if !filepath.IsLocal(name) {
				return &matrix.Failure{Side: matrix.SideKernel, Reason: fmt.Sprintf("patch %s touches %q, outside the tree", p.name, name)}
			}
			if !touched[name] {
				if err := copyIfThere(filepath.Join(t.src(), name), filepath.Join(t.pristine(), name)); err != nil {
					return err
				}
				touched[name] = true
			}
		}
	}
	// The patched texts are made aside, from the pristine files.
	stage := filepath.Join(t.dir, "stage")
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for name := range touched {
		if err := copyIfThere(filepath.Join(t.pristine(), name), filepath.Join(stage, name)); err != nil {
			return err
		}
	}
	for _, p := range patches {
		if err := os.MkdirAll(stage, 0o755); err != nil {
			return err
		}
		file := filepath.Join(t.dir, "current.patch")
		if err := os.WriteFile(file, []byte(p.body), 0o644); err != nil {
			return err
		}
		if err := command(ctx, stage, "patch", "-p1", "--fuzz=0", "--batch", "--forward", "--no-backup-if-mismatch", "-i", file); err != nil {
			return &matrix.Failure{
				Side: matrix.SideKernel, Reason: fmt.Sprintf("patch %s does not apply to %s: %s", p.name, t.source.what, oneLine(err)),
				Hint: "see the header of the patch for the source it is made for",
			}
		}
	}
	for name := range touched {
		if err := replaceIfChanged(filepath.Join(stage, name), filepath.Join(t.src(), name)); err != nil {
			return err
		}
	}
	return nil
}

// touched lists the files of which a pristine copy is kept, including those
// that patches create: their copy is missing, and so is an empty mark.
func (t *tree) touched() (map[string]bool, error) {
	out := map[string]bool{}
	err := filepath.WalkDir(t.pristine(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(t.pristine(), path)
		out[strings.TrimSuffix(name, absentMark)] = true
		return err
	})
	return out, err
}

// absentMark ends the name of a mark: the source has no such file.
const absentMark = ".kqual-absent"

// patchedFiles lists the files that a unified diff (-p1) names.
func patchedFiles(body string) []string {
	var files []string
	for _, line := range strings.Split(body, "\n") {
		name, ok := strings.CutPrefix(line, "+++ ")
		if !ok {
			if name, ok = strings.CutPrefix(line, "--- "); !ok {
				continue
			}
		}
		name, _, _ = strings.Cut(name, "\t")
		if _, rest, ok := strings.Cut(name, "/"); ok && name != "/dev/null" {
			files = append(files, rest)
		}
	}
	return files
}

// copyIfThere copies a file; a missing one leaves a mark, and a mark is copied
// as a missing file.
func copyIfThere(from, to string) error {
	data, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		if _, merr := os.Stat(from + absentMark); merr == nil {
			return nil
		}
		to, data, err = to+absentMark, nil, nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

func replaceIfChanged(from, to string) error {
	want, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, want) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, want, 0o644)
}

// build compiles the tree and puts vmlinuz and config into dst.
func (t *tree) build(ctx context.Context, localVersion, dst string) error {
	defer t.step("build kernel" + localVersion)()
	// The release is the source's own with the variant behind it; setlocalversion
	// reads it from here, and only what includes the release is compiled again.
	if err := os.WriteFile(filepath.Join(t.src(), "localversion-kqual"), []byte(localVersion+"\n"), 0o644); err != nil {
		return err
	}
	if err := command(ctx, t.src(), "make", fmt.Sprintf("-j%d", runtime.NumCPU()), "bzImage"); err != nil {
		return t.buildFailure(err)
	}
	for from, to := range map[string]string{"arch/x86/boot/bzImage": "vmlinuz", ".config": "config"} {
		if err := copyFile(filepath.Join(t.src(), from), filepath.Join(dst, to)); err != nil {
			return err
		}
	}
	return nil
}

// buildFailure keeps the log of a failed build and names the line that matters.
func (t *tree) buildFailure(err error) error {
	var c *commandError
	if !errors.As(err, &c) {
		return err
	}
	log := filepath.Join(t.dir, "build.log")
	if werr := os.WriteFile(log, c.output, 0o644); werr != nil {
		log = ""
	}
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: "build the kernel: " + c.firstError(), Log: log,
		Hint: "the whole output is in the log",
	}
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
