package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
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

// buildEnv makes builds repeatable.
var buildEnv = []string{
	"LC_ALL=C", "LOCALVERSION=", "KBUILD_BUILD_USER=kqual", "KBUILD_BUILD_HOST=kqual",
	"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_VERSION=1",
}

// hostEnv are the only variables of the host that a build sees: make takes any
// other for one of its own (KCFLAGS, LLVM, MAKEFLAGS, KBUILD_OUTPUT, …).
var hostEnv = []string{"PATH", "HOME", "TMPDIR"}

func commandEnv() []string {
	env := append([]string(nil), buildEnv...)
	for _, name := range hostEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// commandError is a program that failed, with all it said.
type commandError struct {
	program string
	err     error
	output  []byte
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.program, e.err, e.summary())
}
func (e *commandError) Unwrap() error { return e.err }

// Lines that say what went wrong, and lines that only pass it on: make's own
// end of the story. File names of the kernel hold the word error, too.
var (
	errorLine = regexp.MustCompile(`: (?:fatal )?error:|^error:|undefined reference to|multiple definition of|: not found$|No space left on device|Killed signal|FAILED|: Cannot |: cannot `)
	makeLine  = regexp.MustCompile(`\*\*\* `)
)

// maxErrorLines is how many lines a summary has at most.
const maxErrorLines = 3

// summary is what matters of the output in one line: the first lines that tell
// of an error, or else the last line.
func (e *commandError) summary() string {
	lines := strings.Split(strings.TrimSpace(string(e.output)), "\n")
	for _, interesting := range []*regexp.Regexp{errorLine, makeLine} {
		var found []string
		for _, l := range lines {
			if l = strings.TrimSpace(l); interesting.MatchString(l) {
				found = append(found, l)
			}
		}
		if len(found) > maxErrorLines {
			found = append(found[:maxErrorLines], fmt.Sprintf("and %d more", len(found)-maxErrorLines))
		}
		if len(found) > 0 {
			return strings.Join(found, "; ")
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// missingHeaders are words of the output that tell of a library's headers.
var missingHeaders = []struct {
	sign       *regexp.Regexp
	pkg, about string
}{
	{regexp.MustCompile(`gelf\.h|libelf\.h|libelf-dev`), "libelf-dev", "objtool, which every x86-64 configuration of 5.10 uses"},
	{regexp.MustCompile(`openssl/\w+\.h`), "libssl-dev", "signed modules"},
}

// hint is what to do about it.
func (e *commandError) hint() string {
	for _, h := range missingHeaders {
		if h.sign.Match(e.output) {
			return "apt-get install " + h.pkg + " (for " + h.about + ")"
		}
	}
	if bytes.Contains(e.output, []byte("No space left on device")) {
		return "free space in the cache's file system, or set KQUAL_CACHE to another one"
	}
	return "the whole output is in the log"
}

// killGrace is how long a program that was told to end may take: make removes
// what it was about to write, so that nothing half-written is left. A variable
// for tests.
var killGrace = 5 * time.Second

// guardian starts a program in the shell's place. What it leaves behind waits
// on file descriptor 4: a line means that all is well, its end that kqual died,
// and then the whole process group goes. It is no child of the program: make,
// when it is told to end, waits for all of its children. File descriptor 3 is a
// lock that the program and its children share.
const guardian = `( (
	trap "" TERM
	read -r _ <&4 || { kill -TERM 0; sleep 5; kill -KILL 0; }
) 3>&- >/dev/null 2>&1 & )
exec 4<&-
exec "$@"`

// buildNice is the nice value of builds, and of their session's autogroup
// (sched(7)): they take what races on the same host leave.
const buildNice = 19

// giveWay puts a session of processes behind all others, as far as the host lets
// this process.
func giveWay(leader int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", leader), []byte(strconv.Itoa(buildNice)), 0)
	_ = syscall.Setpriority(syscall.PRIO_PGRP, leader, buildNice)
}

// runCommand runs a program in dir, with vars over its environment, in a session
// and so a process group of its own, behind all other processes. When ctx is done the group is told to end; what is left after killGrace is killed, and
// with this process it ends, too. killed says that something may have been
// stopped in the middle of writing.
func runCommand(ctx context.Context, lock *os.File, vars []string, dir, program string, args ...string) (killed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return false, &matrix.Failure{Side: matrix.SideHost, Reason: program + " is not installed", Hint: "kqual doctor lists what a build needs"}
	}
	waits, life, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer life.Close()
	defer waits.Close()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", guardian, "sh", path}, args...)...)
	cmd.Dir, cmd.Env = dir, append(commandEnv(), vars...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{lock, waits}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var last *time.Timer
	cmd.Cancel = func() error {
		group := -cmd.Process.Pid
		last = time.AfterFunc(killGrace, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
		return syscall.Kill(group, syscall.SIGTERM)
	}
	cmd.WaitDelay = 2 * killGrace
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", program, err)
	}
	giveWay(cmd.Process.Pid)
	err = cmd.Wait()
	if last != nil && !last.Stop() {
		killed = true
	}
	// make passes SIGTERM on to itself once it has cleaned up.
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	orderly := ctx.Err() != nil && status.Signal() == syscall.SIGTERM
	if errors.Is(err, exec.ErrWaitDelay) || status.Signaled() && !orderly {
		// Its children are still there; so is the guardian, which keeps the
		// group's number from being used again.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		killed = true
	}
	_, _ = life.WriteString("\n")
	if ctx.Err() != nil {
		return killed, ctx.Err()
	}
	if err != nil {
		return killed, &commandError{program, err, out.Bytes()}
	}
	return killed, nil
}
