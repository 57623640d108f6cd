package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// mountBasics mounts what everything else needs. /dev may be there already
// (CONFIG_DEVTMPFS_MOUNT does not cover an initramfs).
func mountBasics() error {
	for _, m := range []struct{ kind, dir string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

// mountFilesystem mounts fs and returns where. A kernel that does not know the
// filesystem refuses with ENODEV.
func mountFilesystem(fs wire.Filesystem) (string, error) {
	f, err := LookupFilesystem(fs.Name)
	if err != nil {
		return "", err
	}
	root := "/mnt/" + fs.Name
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	err = f.Mount(fs.Device, root)
	if errors.Is(err, unix.ENODEV) {
		return "", refused("mount", f.Type, err)
	}
	if err != nil {
		return "", fmt.Errorf("mount %s on %s: %w", f.Type, fs.Device, err)
	}
	if f.names != "" {
		root = filepath.Join(root, f.names)
		if _, err := os.Stat(root); err != nil {
			return "", refused("stat", f.names, err)
		}
		flat[root] = true
	}
	return root, nil
}

// flat are the directories below which none can be made: names die in them
// directly.
var flat = map[string]bool{}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	return nil
}

// raiseSysctl writes want to a sysctl if it is lower and returns its value
// afterwards; missing is what to assume where the kernel does not have it.
func raiseSysctl(name string, want, missing int) int {
	path := "/proc/sys/" + name
	get := func() (int, bool) {
		b, err := os.ReadFile(path)
		if err != nil {
			return 0, false
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		return n, err == nil
	}
	if n, ok := get(); ok && n < want {
		_ = os.WriteFile(path, []byte(strconv.Itoa(want)), 0)
	}
	if n, ok := get(); ok {
		return n
	}
	return missing
}

// channel is the serial port to the host.
type channel struct {
	fd   int
	path string
}

// openChannel opens the port in raw mode: no echo, no newline translation.
func openChannel(path string) (*channel, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("get terminal mode of %s: %w", path, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("set terminal mode of %s: %w", path, err)
	}
	return &channel{fd, path}, nil
}

// Write writes all of b, whatever the port takes at a time.
func (c *channel) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := unix.Write(c.fd, b[n:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return n, fmt.Errorf("write %s: %w", c.path, err)
		}
		n += m
	}
	return n, nil
}

// await waits until the host says wire.Go.
func (c *channel) await() error {
	var b [1]byte
	for {
		switch n, err := unix.Read(c.fd, b[:]); {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return fmt.Errorf("wait for the host: %w", err)
		case n == 1:
			return nil
		}
	}
}

// drain waits until everything has left the port (tcdrain(3)).
func (c *channel) drain() { _ = unix.IoctlSetInt(c.fd, unix.TCSBRK, 1) }
