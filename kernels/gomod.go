package kernels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

func init() {
	register(gomodSource{})
	declareKind(entryKind("gomod", nil))
}

// gomodSource takes a kernel that is published as a Go module. The go command
// downloads it as it downloads any module: through the proxy, verified by the
// checksum database.
type gomodSource struct{}

// gomodConfig is the gomod: part of a kernel.
type gomodConfig struct {
	Module  string `yaml:"module" kqual:"required"`
	Version string `yaml:"version" kqual:"required"` // v0.0.0-…; no query such as latest
	Sum     string `yaml:"sum"`                      // h1:… as in go.sum; in addition to the database
}

var (
	modulePath    = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9.-]*(/[a-zA-Z0-9_][a-zA-Z0-9._~-]*)+$`)
	moduleVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$`) // go.dev/ref/mod#versions
	moduleSum     = regexp.MustCompile(`^h1:[0-9A-Za-z+/]{43}=$`)
)

func (gomodSource) Catalog() matrix.KernelSource {
	return matrix.KernelSource{
		Name:   "gomod",
		Doc:    "a kernel published as a Go module, verified by the checksum database; needs the go command",
		Decode: decodeGomod,
		Cost:   func(any) string { return "download of a Go module" },
	}
}

func decodeGomod(node *yaml.Node, path string) (any, matrix.Problems) {
	var c gomodConfig
	problems := matrix.DecodeStrict(node, path, &c)
	if len(problems) > 0 {
		return c, problems
	}
	wrong := func(key, what string) {
		problems = append(problems, matrix.Problem{Line: lineOf(node, key), Path: path + "." + key, What: what})
	}
	if !modulePath.MatchString(c.Module) {
		wrong("module", fmt.Sprintf("%q is no module path; write one such as github.com/gokrazy/kernel.amd64", c.Module))
	}
	if !moduleVersion.MatchString(c.Version) {
		wrong("version", fmt.Sprintf("%q is no version; write one such as v0.1.0, as go list -m prints it", c.Version))
	}
	if c.Sum != "" && !moduleSum.MatchString(c.Sum) {
		wrong("sum", "is no h1: hash; copy it from go.sum")
	}
	return c, problems
}

// Resolve has nothing to look up: the matrix names the module's version.
func (gomodSource) Resolve(_ context.Context, _ Env, config any) (*Pin, error) {
	return &Pin{Sum: config.(gomodConfig).Sum}, nil
}

func (gomodSource) Fetch(ctx context.Context, env Env, config any) (*Image, error) {
	c := config.(gomodConfig)
	at := c.Module + "@" + c.Version
	const sumName = "go.sum" // what the go command verified
	dir, err := env.Cache.Entry(ctx, "gomod", hashStrings(unpackFormat, at, c.Sum), func(tmp string) error {
		if env.Cache.Offline {
			return notInCache(at)
		}
		step := Event{Kernel: env.Kernel, Step: "download " + at}
		env.Progress(step)
		m, err := downloadModule(ctx, c)
		if err != nil {
			return err
		}
		step.End = true
		env.Progress(step)
		if err := copyTree(m.Dir, tmp); err != nil {
			return about("copy "+at, err)
		}
		if err := arrange(tmp, at); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tmp, sumName), []byte(m.Sum), 0o644)
	})
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(dir, sumName))
	if err != nil {
		return nil, err
	}
	if env.locked() && string(sum) != env.Pin.Sum {
		return nil, notLocked(fmt.Sprintf("%s: wrong hash: %s, %s has %s", at, sum, env.Pin.lock, env.Pin.Sum))
	}
	return arrangedImage(ctx, env, dir, matrix.Provenance{Source: "gomod", Details: map[string]string{
		"module": c.Module, "module_version": c.Version, "sum": string(sum),
	}})
}

// downloaded is what go mod download -json says.
type downloaded struct {
	Dir, Sum, Error string
}

// downloadModule has the go command get a module, in a directory that belongs
// to no module.
func downloadModule(ctx context.Context, c gomodConfig) (*downloaded, error) {
	if c.Sum == "" {
		if err := checkSumDB(ctx); err != nil {
			return nil, err
		}
	}
	out, err := goCommand(ctx, "mod", "download", "-json", c.Module+"@"+c.Version)
	var m downloaded
	if jerr := json.Unmarshal(out, &m); jerr != nil || m.Error != "" || err != nil {
		reason := m.Error
		if reason == "" {
			reason = errors.Join(err, jerr).Error()
		}
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: "go mod download: " + strings.ReplaceAll(strings.TrimSpace(reason), "\n", "; "),
			Hint: "correct module: or version:, or check the network and GOPROXY",
		}
	}
	if c.Sum != "" && m.Sum != c.Sum {
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("%s@%s: wrong hash: %s, want %s", c.Module, c.Version, m.Sum, c.Sum),
			Hint: "correct sum: in the matrix, or do not trust this proxy",
		}
	}
	return &m, nil
}

// checkSumDB refuses a go command that is told not to ask the checksum
// database: nothing would verify the module then.
func checkSumDB(ctx context.Context) error {
	out, err := goCommand(ctx, "env", "GOSUMDB", "GONOSUMDB")
	if err != nil {
		return err
	}
	db, except, _ := strings.Cut(string(out), "\n")
	if db != "off" && strings.TrimSpace(except) == "" {
		return nil
	}
	return &matrix.Failure{
		Side: matrix.SideHost, Reason: "the go command is set up not to ask the checksum database (GOSUMDB, GONOSUMDB, GOPRIVATE)",
		Hint: "give the module's hash in the matrix (gomod: {sum: h1:…})",
	}
}

func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	program, err := exec.LookPath("go")
	if err != nil {
		return nil, &matrix.Failure{Side: matrix.SideHost, Reason: "kernels in Go modules need the go command, and there is none", Hint: "apt-get install golang-go"}
	}
	dir, err := os.MkdirTemp("", "kqual-gomod-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GO111MODULE=on", "GOWORK=off", "GOFLAGS=-modcacherw")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// copyTree copies a kernel's files out of a directory; links and devices are
// passed over.
func copyTree(from, to string) error {
	var total int64
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || !d.Type().IsRegular() || !wantedInTree(name) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if total += info.Size(); total > maxExtracted {
			return badPackage(fmt.Sprintf("it has more than %d bytes at %q", int64(maxExtracted), name))
		}
		dst := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		return copyFile(path, dst)
	})
}
