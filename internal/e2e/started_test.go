package e2e

import (
	"bufio"
	"os/exec"
	"testing"
)

// started is a call of kqual that goes on.
type started struct {
	*exec.Cmd
	lines chan string // of standard error, as they come
	said  []string    // those that were looked at
}

func start(t *testing.T, args ...string) *started {
	t.Helper()
	s := &started{Cmd: kqual(args...), lines: make(chan string, 1<<12)}
	stderr, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
	return s
}

// until waits for a line that fits; false where kqual ends without one.
func (s *started) until(fits func(line string) bool) bool {
	for line := range s.lines {
		s.said = append(s.said, line)
		if fits(line) {
			return true
		}
	}
	return false
}

// kill kills kqual and returns whether that ended it, or it had ended by itself
// before. What it said until then is in said.
func (s *started) kill() bool {
	_ = s.Process.Kill()
	s.until(func(string) bool { return false })
	_ = s.Wait()
	return s.ProcessState.ExitCode() < 0
}
