package guest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const mountFlags = unix.MS_NOATIME | unix.MS_NOSUID | unix.MS_NODEV

// mountAs is Filesystem.Mount of what lies on a disk of its own.
func mountAs(fstype, options string) func(device, dir string) error {
	return func(device, dir string) error { return unix.Mount(device, dir, fstype, mountFlags, options) }
}

// mkfs runs a program that makes a filesystem image.
func mkfs(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
