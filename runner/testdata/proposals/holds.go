package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// counted is what /proc/fsnotify_deletes said of the deletes of one step.
type counted struct {
	Step           string
	Names          int // that died
	Deletes, Holds int
}

// holds asks for the counter of the pre-delete patch, with nobody watching and
// with somebody.
func holds(r *report, _ *wire.Plan) error {
	const names = 500
	dir, other := "/mnt/tmpfs/holds", "/mnt/tmpfs/holds-other"
	for _, d := range []string{dir, other} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	fd, err := inotifyOpen()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, step := range []struct {
		name, dir string
		mask      uint32 // of a watch that stays; 0 for none
	}{
		{"nobody watches", "", 0},
		{"another directory is watched", other, unix.IN_DELETE},
		{"the directory is watched for creates", dir, unix.IN_CREATE},
		{"the directory is watched for deletes", dir, unix.IN_DELETE},
	} {
		if step.mask != 0 {
			if _, err := unix.InotifyAddWatch(fd, step.dir, step.mask); err != nil {
				return fmt.Errorf("inotify_add_watch: %w", err)
			}
		}
		deletes, holds, err := readCounter()
		if err != nil {
			return err
		}
		for n := range names {
			if err := makeAndKill(dir + "/f" + strconv.Itoa(n)); err != nil {
				return err
			}
		}
		c := counted{Step: step.name, Names: names, Deletes: -deletes, Holds: -holds}
		if deletes, holds, err = readCounter(); err != nil {
			return err
		}
		c.Deletes += deletes
		c.Holds += holds
		if err := r.send("counted", c); err != nil {
			return err
		}
	}
	return nil
}

func makeAndKill(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	unix.Close(fd)
	if err := unix.Unlink(path); err != nil {
		return fmt.Errorf("unlink %s: %w", path, err)
	}
	return nil
}

func readCounter() (deletes, holds int, err error) {
	data, err := os.ReadFile("/proc/fsnotify_deletes")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(string(data), "deletes %d\nholds %d\n", &deletes, &holds); err != nil {
		return 0, 0, fmt.Errorf("parse %q: %w", data, err)
	}
	return deletes, holds, nil
}
