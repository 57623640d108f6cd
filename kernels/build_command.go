package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"kqual/matrix"
)

// buildTools are the programs that a build calls, with their Debian packages.
var buildTools = []struct{ Program, Package string }{
	{"gcc", "gcc"},
	{"make", "make"},
	{"flex", "flex"},
	{"bison", "bison"},
	{"bc", "bc"},
	{"patch", "patch"},
	{"xz", "xz-utils"},
	{"tar", "tar"},
	{"ld", "binutils"},
	{"perl", "perl"},
}

// MissingBuildTools lists the programs that a build needs and this machine
// does not have, with the Debian packages that hold them.
func MissingBuildTools() (programs, packages []string) {
	for _, t := range buildTools {
		if _, err := exec.LookPath(t.Program); err != nil {
			programs = append(programs, t.Program)
			packages = append(packages, t.Package)
		}
	}
	return programs, packages
}

func checkBuildTools() error {
	programs, packages := MissingBuildTools()
	if len(programs) == 0 {
		return nil
	}
	return &matrix.Failure{
		Side: matrix.SideHost, Reason: "building a kernel needs " + strings.Join(programs, ", "),
		Hint: "apt-get install " + strings.Join(packages, " "),
	}
}

// compilerVersion is the first line of gcc --version.
func compilerVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "gcc", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask gcc for its version: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, nil
}

// buildEnv makes builds repeatable and keeps the host's settings out.
var buildEnv = []string{
	"LC_ALL=C", "ARCH=x86_64", "LOCALVERSION=", "KBUILD_BUILD_USER=kqual", "KBUILD_BUILD_HOST=kqual",
	"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_VERSION=1",
}

// commandError is a program that failed, with all it said.
type commandError struct {
	program string
	err     error
	output  []byte
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.program, e.err, e.firstError())
}
func (e *commandError) Unwrap() error { return e.err }

var errorLine = regexp.MustCompile(`(?i)\berror\b|FAILED|No such file|can't find|\*\*\*`)

// firstError is the first line of the output that tells of an error, or the
// last line.
func (e *commandError) firstError() string {
	lines := strings.Split(strings.TrimSpace(string(e.output)), "\n")
	for _, l := range lines {
		if errorLine.MatchString(l) {
			return strings.TrimSpace(l)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// command runs a program in dir. When ctx is done, it is killed with all its
// children.
func command(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KBUILD_OUTPUT", "CROSS_COMPILE", "LOCALVERSION", "CC", "CFLAGS":
		default:
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, buildEnv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &matrix.Failure{Side: matrix.SideHost, Reason: program + " is not installed"}
	}
	if err != nil {
		return &commandError{program, err, out.Bytes()}
	}
	return nil
}
