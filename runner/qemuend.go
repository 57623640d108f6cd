package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// reapTime is how long QEMU may take to be gone after its channel has ended.
const reapTime = 2 * time.Second

// ownEnd waits for QEMU to end by itself and says what was wrong with that; nil
// where it goes on, or ended as a guest ends it.
func (v *vm) ownEnd(wait time.Duration) *matrix.Failure {
	select {
	case <-v.ended:
	case <-time.After(wait):
		if !v.hasEnded() {
			return nil
		}
	}
	said := complaint(v.output.String())
	var exit *exec.ExitError
	if errors.As(v.err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			f := &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU was ended by " + unix.SignalName(s.Signal()), Transient: true}
			switch {
			case said != "":
				f.Reason += ": " + said
			case s.Signal() == unix.SIGKILL:
				f.Hint = "if nobody killed it, the host ran out of memory: see dmesg; a smaller machine.memory or fewer --jobs help"
			}
			return f
		}
	}
	switch {
	case strings.HasPrefix(said, "terminating on signal"):
		return &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU: " + said, Transient: true}
	case v.err != nil && said != "":
		return &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU: " + said, Hint: refusalHint(said)}
	case v.err != nil:
		return &matrix.Failure{Side: matrix.SideHost, Reason: fmt.Sprintf("QEMU ended without a word: %v", v.err)}
	}
	return nil
}

// hasEnded says whether QEMU is gone.
func (v *vm) hasEnded() bool {
	select {
	case <-v.ended:
		return true
	default:
		return false
	}
}

// itself begins what QEMU says.
var itself = regexp.MustCompile(`^qemu-system-\w+: `)

// complaint is the first line of QEMU's own words that is no mere warning.
func complaint(output string) string {
	for line := range strings.Lines(output) {
		line = itself.ReplaceAllString(strings.TrimSpace(line), "")
		if line != "" && !strings.HasPrefix(line, "warning: ") {
			return line
		}
	}
	return ""
}

// refusals are what QEMU does not take from a matrix.
var refusals = []struct {
	re   *regexp.Regexp
	hint string
}{
	{regexp.MustCompile(`CPU model|[Pp]roperty .*cpu.* not found`), "machine.cpu is not of this QEMU's: its -cpu help lists what it knows for the architecture"},
	{regexp.MustCompile(`SMP|maxcpus|number of CPUs`), "use fewer machine.vcpus"},
	{regexp.MustCompile(`[Cc]annot allocate memory|guest memory|RAM size`), "use less machine.memory or fewer --jobs"},
	{regexp.MustCompile(`PVH|load kernel|invalid kernel|kernel header`), "the kernel image is damaged or is none that QEMU boots"},
	{regexp.MustCompile(`KVM|kvm`), "accel: tcg needs no KVM; kqual doctor says what works here"},
}

func refusalHint(said string) string {
	for _, r := range refusals {
		if r.re.MatchString(said) {
			return r.hint
		}
	}
	return ""
}

// stopped says whether somebody has stopped QEMU (SIGSTOP).
func (v *vm) stopped() bool {
	pid, ok := findQEMU(v.name)
	if !ok {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	return len(fields) > 0 && string(fields[0]) == "T"
}
