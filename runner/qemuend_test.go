package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
)

// ended is a machine whose QEMU is a shell command that has ended.
func ended(t *testing.T, said, command string) *vm {
	t.Helper()
	v := &vm{ended: make(chan struct{}), output: &boundedText{}}
	_, _ = v.output.Write([]byte(said))
	v.err = exec.Command("sh", "-c", command).Run()
	close(v.ended)
	return v
}

func TestHowQEMUEndedIsTold(t *testing.T) {
	const warning = "qemu-system-x86_64: warning: TCG doesn't support requested feature\n"
	tests := map[string]struct {
		said, command, reason, hint string
		transient                   bool
	}{
		"as a guest ends it":  {"", "exit 0", "", "", false},
		"with a warning only": {warning, "exit 0", "", "", false},
		"killed":              {"", "kill -KILL $$", "QEMU was ended by SIGKILL", "ran out of memory", true},
		"aborted with words":  {warning + "qemu-system-x86_64: assertion failed\n", "kill -ABRT $$", "QEMU was ended by SIGABRT: assertion failed", "", true},
		"terminated":          {"qemu-system-x86_64: terminating on signal 15 from pid 1 (init)\n", "exit 0", "QEMU: terminating on signal 15", "", true},
		"no such CPU":         {warning + "qemu-system-x86_64: unable to find CPU model 'bogus'\n", "exit 1", "QEMU: unable to find CPU model 'bogus'", "machine.cpu", false},
		"too many CPUs":       {"qemu-system-x86_64: Invalid SMP CPUs 4096. The max CPUs supported by machine 'pc' is 255\n", "exit 1", "QEMU: Invalid SMP CPUs", "machine.vcpus", false},
		"too much memory":     {"qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n", "exit 1", "QEMU: cannot set up guest memory", "machine.memory", false},
		"no kernel":           {"qemu-system-x86_64: Error loading uncompressed kernel without PVH ELF Note\n", "exit 1", "QEMU: Error loading", "kernel image", false},
		"wordless":            {"", "exit 3", "QEMU ended without a word: exit status 3", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := ended(t, tt.said, tt.command).ownEnd(0)
			switch {
			case tt.reason == "" && f != nil:
				t.Errorf("told as %+v", f)
			case tt.reason == "":
			case f == nil || f.Side != matrix.SideHost || !strings.HasPrefix(f.Reason, tt.reason) ||
				!strings.Contains(f.Hint, tt.hint) || f.Transient != tt.transient:
				t.Errorf("told as %+v, want %+v", f, tt)
			}
		})
	}
}

func TestAQEMUThatGoesOnHasNotEnded(t *testing.T) {
	v := &vm{ended: make(chan struct{}), output: &boundedText{}}
	if f := v.ownEnd(time.Millisecond); f != nil || v.hasEnded() {
		t.Errorf("told as %+v", f)
	}
}

// What the kernel survived does not explain why QEMU was killed; its panic does.
func TestAKilledQEMUOutranksWhatTheKernelSurvived(t *testing.T) {
	own := &matrix.Failure{Side: matrix.SideHost, Reason: "QEMU was ended by SIGKILL"}
	for line, want := range map[string]string{
		"Out of memory: Killed process 9 (init)": own.Reason,
		"Kernel panic - not syncing: sysrq":      "panic: Kernel panic - not syncing: sysrq",
	} {
		b := &boot{log: writeLog(t, line+"\n")}
		if f := b.explain(context.Background(), own, b.splats(), errors.New("channel ended")); f.Reason != want {
			t.Errorf("%s: told as %s", line, f.Reason)
		}
	}
}

func writeLog(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "console.log")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
