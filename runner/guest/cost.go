package guest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner/wire"
)

const (
	// costBatch is how many names die between two looks at the clock; with one
	// event each no queue overflows (fs.inotify.max_queued_events, 16,384).
	costBatch = 500
	// costBatches is how many batches one boot measures for a number of groups.
	costBatches = 21
	// costFilesystem adds the least of its own to a delete.
	costFilesystem = "tmpfs"
)

// measureCosts measures unlink(2), unwatched and with groups that watch the
// directory for deletes.
func measureCosts(w *wire.Writer, plan *wire.CostPlan) error {
	root, err := mountFilesystem(wire.Filesystem{Name: costFilesystem})
	if err != nil {
		return err
	}
	dir := root + "/cost"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	c := &costs{watch: inotify{}.catalog().Plain(), events: make([]byte, 64<<10)}
	if limit, most := (inotify{}).poolLimit(), plan.Groups[len(plan.Groups)-1]; limit < most {
		return fmt.Errorf("this kernel allows %d groups, and %d are asked for", limit, most)
	}
	defer c.close()
	for i := range costBatch {
		c.paths = append(c.paths, dir+"/f"+strconv.Itoa(i))
	}
	for _, groups := range plan.Groups {
		for len(c.groups) < groups {
			if err := c.add(dir); err != nil {
				return err
			}
		}
		var batches []float64
		for range costBatches {
			took, err := c.batch()
			if err != nil {
				return err
			}
			batches = append(batches, float64(took.Nanoseconds())/costBatch)
		}
		slices.Sort(batches)
		if err := w.Write(wire.Record{Cost: &wire.Cost{Groups: groups, Nanosec: batches[costBatches/2]}}); err != nil {
			return err
		}
	}
	return nil
}

// costs are names that die, and the groups that watch their directory.
type costs struct {
	paths  []string
	watch  matrix.Watch // of every group
	groups []group
	events []byte
}

func (c *costs) close() {
	for _, g := range c.groups {
		_ = g.close()
	}
}

// add adds a group.
func (c *costs) add(dir string) error {
	g, err := inotify{}.open(c.watch)
	if err != nil {
		return err
	}
	c.groups = append(c.groups, g)
	return g.mark(c.watch, dir)
}

// batch creates all names, times their deletion, and empties the queues.
func (c *costs) batch() (time.Duration, error) {
	for _, p := range c.paths {
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return 0, fmt.Errorf("create: %w", err)
		}
		unix.Close(fd)
	}
	begin := time.Now()
	for _, p := range c.paths {
		if err := unix.Unlink(p); err != nil {
			return 0, fmt.Errorf("unlink: %w", err)
		}
	}
	took := time.Since(begin)
	for _, g := range c.groups {
		told, err := c.drain(g)
		if err != nil {
			return 0, err
		}
		if told != len(c.paths) {
			return 0, fmt.Errorf("a group was told of %d of %d deletes", told, len(c.paths))
		}
	}
	return took, nil
}

// drain reads all that is queued and returns how many events that was.
func (c *costs) drain(g group) (told int, err error) {
	var ev event
	for {
		n, err := unix.Read(g.fd(), c.events)
		if err == unix.EAGAIN {
			return told, nil
		}
		if err != nil {
			return told, fmt.Errorf("read events: %w", err)
		}
		for b := g.next(c.events[:n], &ev); b != nil; b = g.next(b, &ev) {
			told++
		}
	}
}
