package kernels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"kqual/matrix"
)

// defaultCompiler compiles where cc: names no other, and always what the build
// itself calls.
const defaultCompiler = "gcc"

// compilerName is a program such as gcc-12 or clang; make takes the words after
// a blank for options.
var compilerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// compilerVersion is the first line of what a compiler says of itself.
func compilerVersion(ctx context.Context, cc string) (string, error) {
	if _, err := exec.LookPath(cc); err != nil {
		return "", &matrix.Failure{
			Side: matrix.SideHost, Reason: fmt.Sprintf("the compiler %s is not installed", cc),
			Hint: "apt-get install " + cc + ", or correct cc: in the matrix",
		}
	}
	cmd := exec.CommandContext(ctx, cc, "--version")
	cmd.Env = commandEnv()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", cc, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, nil
}

// maxCcache bounds what ccache keeps, as it writes sizes.
const maxCcache = "2G"

// ccacheKind has what ccache keeps: all builds share its only item.
const (
	ccacheKind = "ccache"
	ccacheKey  = "shared"
)

func init() { declareKind(cacheKind{name: ccacheKind}) }

// useCcache puts ccache in front of the compilers, where it is installed, and
// returns what it calls itself and the variables that a build needs for that.
// It stands in the compiler's place in PATH, so that make's command lines are
// the same and a tree from before is not compiled again.
func useCcache(ctx context.Context, c *Cache, compilers ...string) (version string, vars []string, err error) {
	program, err := exec.LookPath("ccache")
	if err != nil {
		return "", nil, nil
	}
	if program, err = filepath.Abs(program); err != nil {
		return "", nil, err
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", nil, fmt.Errorf("ask ccache for its version: %w", err)
	}
	version, _, _ = strings.Cut(string(out), "\n")
	if c.named != nil {
		return version, nil, nil
	}
	unlock, err := c.Lock(ctx, ccacheKind+"-"+ccacheKey)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	dir := c.path(ccacheKind, ccacheKey)
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", nil, err
	}
	if !c.keep(dir, true) {
		return "", nil, errors.New("the directory of ccache was removed while it was used")
	}
	touch(dir)
	for _, name := range compilers {
		link := filepath.Join(bin, name)
		if to, err := os.Readlink(link); err == nil && to == program {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
		if err := os.Symlink(program, link); err != nil {
			return "", nil, err
		}
	}
	return version, []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"CCACHE_DIR=" + filepath.Join(dir, "objects"), "CCACHE_MAXSIZE=" + maxCcache,
	}, nil
}
