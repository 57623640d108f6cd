package runner

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"
)

// Where kqual is root, QEMU is nobody, cannot become anybody else, and still
// ends with kqual: the parent-death signal is set after the change of the user.
func TestVMQEMURunsWithoutPrivileges(t *testing.T) {
	needVM(t)
	if os.Geteuid() != 0 {
		t.Skip("kqual itself has no privileges here")
	}
	img := image(t, affected)
	found := make(chan []byte, 1)
	go func() { // while the guest sleeps
		defer close(found)
		for range 60 {
			time.Sleep(50 * time.Millisecond)
			if pid, ok := findQEMU(fmt.Sprintf("kqual-%d-", os.Getpid())); ok {
				status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				found <- status
				return
			}
		}
	}()
	bootOnce(t, img, program(t, "sleeper"), func(b *boot) { b.firstRecord = 4 * time.Second })
	status := <-found
	for _, want := range []string{
		`(?m)^Uid:\t65534\t65534\t65534\t65534$`, `(?m)^Gid:\t65534\t65534\t65534\t65534$`, `(?m)^Groups:\t\s*$`,
		`(?m)^NoNewPrivs:\t1$`, `(?m)^CapEff:\t0+$`,
	} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("no %s in\n%s", want, status)
		}
	}
}
