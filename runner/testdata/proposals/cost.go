package main

import (
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"kqual/runner/wire"
)

// costed is what deletes cost in one boot.
type costed struct {
	Groups  int     // that watch the directory
	Nanosec float64 // per unlink(2): the median of the batches
}

const (
	// costBatch is how many names die between two looks at the clock; with one
	// event each no queue overflows (fs.inotify.max_queued_events, 16,384).
	costBatch = 500
	// costBatches is how many batches one boot measures.
	costBatches = 21
)

// cost measures unlink(2) on tmpfs: unwatched, with 1 and with 32 groups.
func cost(r *report, _ *wire.Plan) error {
	dir := "/mnt/tmpfs/cost"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var cpus unix.CPUSet
	cpus.Set(0)
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		return err
	}
	paths := make([]string, costBatch)
	for i := range paths {
		paths[i] = dir + "/f" + strconv.Itoa(i)
	}
	var groups []int
	for _, n := range []int{0, 1, 32} {
		for len(groups) < n {
			fd, err := inotifyOpen()
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE); err != nil {
				return err
			}
			groups = append(groups, fd)
		}
		var batches []float64
		for range costBatches {
			for _, p := range paths {
				fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
				if err != nil {
					return err
				}
				unix.Close(fd)
			}
			begin := time.Now()
			for _, p := range paths {
				if err := unix.Unlink(p); err != nil {
					return err
				}
			}
			batches = append(batches, float64(time.Since(begin).Nanoseconds())/costBatch)
			for _, fd := range groups {
				if _, err := inotifyRead(fd); err != nil {
					return err
				}
			}
		}
		slices.Sort(batches)
		if err := r.send("costed", costed{n, batches[len(batches)/2]}); err != nil {
			return err
		}
	}
	return nil
}
