package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner"
)

// terminal is a pair of pseudo-terminal ends (pty(7)) of 80 by 24.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// Two machines at a time have a line each, and what is through has none.
func TestLiveViewShowsEveryMachine(t *testing.T) {
	t.Setenv("TERM", "xterm")
	screen, tty := terminal(t)
	var seen lockedBuffer
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := screen.Read(buf)
			_, _ = seen.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	p := (&app{Stdio: Stdio{Err: tty}}).newProgress(4, time.Minute)
	appears := func(text string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for !strings.Contains(seen.String(), text) {
			if time.Now().After(deadline) {
				t.Fatalf("%q is not on the screen:\n%q", text, seen.String())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	cell := func(kernel string) matrix.Cell {
		return matrix.Cell{Kernel: kernel, Filesystem: "tmpfs", Scenario: "unlink", Watch: matrix.Watch{Name: "IN_DELETE+EXCL_UNLINK"}}
	}
	p.begin(cell("debian-13-backports"))
	p.begin(cell("b"))
	p.beat(runner.Beat{Cell: cell("debian-13-backports"), Trials: 1234, Stale: 5})
	appears("debian-13-backports tmpfs/unlink IN_DELETE+EXCL_UNLINK: 5 stale of 1234 trials")
	appears("b tmpfs/unlink IN_DELETE+EXCL_UNLINK")
	p.line("a line that stays")
	p.answered(1)
	appears("a line that stays")
	appears("cell 1 of 4")
	p.through("debian-13-backports")
	time.Sleep(500 * time.Millisecond) // some refreshes
	before := len(seen.String())
	p.answered(2)
	appears("cell 2 of 4")
	if late := seen.String()[before:]; strings.Contains(late, "debian-13-backports") || !strings.Contains(late, "b tmpfs/unlink") {
		t.Errorf("after the end of one machine the screen shows %q", late)
	}
	p.close()
	p.begin(cell("c")) // after the end nothing is drawn, and nothing breaks
	p.through("c")
}
