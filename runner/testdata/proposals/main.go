// Command proposals is a PID 1 that puts a kernel with one of the proposed
// patches through what kqual's cells do not ask: whether event streams are those
// of another kernel, whether watches may come and go while names die, what is
// counted. The plan's kernel name lists the exercises; each
// answers with notes of the form "KIND JSON".
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// exercises by name; each reports what it found and fails only where the
// kernel does not let it ask.
var exercises = map[string]func(*report, *wire.Plan) error{
	"streams": streams,
	"holds":   holds,
	"churn":   churn,
}

func main() {
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Printf("kqual guest: %v\n", err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func run() error {
	for _, m := range []struct{ kind, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	data, err := os.ReadFile(wire.PlanPath)
	if err != nil {
		return err
	}
	plan := &wire.Plan{}
	if err := json.Unmarshal(data, plan); err != nil {
		return err
	}
	ch, err := openChannel()
	if err != nil {
		return err
	}
	// What has been written leaves the port before the machine goes (tcdrain(3)).
	defer unix.IoctlSetInt(int(ch.Fd()), unix.TCSBRK, 1)
	r := &report{w: wire.NewWriter(ch)}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	begin := time.Now()
	if err := r.w.Write(wire.Record{Hello: &wire.Hello{Release: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU()}}); err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/fs/inotify/max_user_instances", []byte("4096"), 0); err != nil {
		return err
	}
	for _, fs := range plan.Filesystems {
		root := "/mnt/" + fs.Name
		if err := os.MkdirAll(root, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(fs.Device, root, fs.Name, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", root, err)
		}
	}
	for _, name := range strings.Split(plan.Kernel, ",") {
		f := exercises[name]
		if f == nil {
			return fmt.Errorf("no exercise named %q", name)
		}
		if err := f(r, plan); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return r.w.Write(wire.Record{Done: &wire.Done{Elapsed: time.Since(begin)}})
}

func openChannel() (*os.File, error) {
	f, err := os.OpenFile("/dev/ttyS1", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	return f, unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// report sends what an exercise found.
type report struct{ w *wire.Writer }

func (r *report) send(kind string, what any) error {
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return r.w.Write(wire.Record{Note: kind + " " + string(data)})
}
