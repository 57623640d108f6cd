package guest

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// removals are the kinds of order witness: the two removals that 49246466a989
// moved the event of.
var removals = []removal{
	{kind: "unlink", create: func(path string) error {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}, remove: unix.Unlink},
	{kind: "rmdir", create: func(path string) error { return unix.Mkdir(path, 0o700) }, remove: unix.Rmdir},
}

// removal makes an object and removes its only name.
type removal struct {
	kind           string
	create, remove func(path string) error
}

// witnesses asks the order witness of every kind that the cells of filesystem,
// mounted on root, have a scenario of.
func witnesses(filesystem, root string, cells []matrix.Cell) []matrix.Witness {
	var out []matrix.Witness
	for _, r := range removals {
		planned := func(c matrix.Cell) bool { return c.Filesystem == filesystem && c.Scenario == r.kind }
		if slices.ContainsFunc(cells, planned) {
			out = append(out, witness(filesystem, root, r))
		}
	}
	return out
}

// witness is the order witness: on one inotify group, watch a directory
// (IN_DELETE) and an object in it (IN_ATTRIB | IN_DELETE_SELF), remove the
// object, read the order. The victim has one link and nobody holds it: with
// other references d_delete() only unhashes, and with another link
// IN_DELETE_SELF never comes.
func witness(filesystem, root string, r removal) matrix.Witness {
	w := matrix.Witness{Filesystem: filesystem, Kind: r.kind}
	if why := filesystems[filesystem].noWitness; why != "" {
		w.Order, w.Reason = matrix.NotApplicable, why
		return w
	}
	events, err := witnessEvents(root, r)
	if err != nil {
		w.Order, w.Reason = matrix.NoOrder, err.Error()
		return w
	}
	w.Events = events
	w.Order = orderOf(events)
	if w.Order == matrix.NoOrder {
		w.Reason = "DELETE or DELETE_SELF never came"
	}
	return w
}

// orderOf compares the first DELETE with the first DELETE_SELF; nothing else
// decides.
func orderOf(events []string) matrix.Order {
	for i, e := range events {
		rest := events[i+1:]
		switch {
		case e == "DELETE" && slices.Contains(rest, "DELETE_SELF"):
			return matrix.Early
		case e == "DELETE_SELF" && slices.Contains(rest, "DELETE"):
			return matrix.Late
		}
	}
	return matrix.NoOrder
}

func witnessEvents(root string, r removal) ([]string, error) {
	d, err := newDir(root, "witness")
	if err != nil {
		return nil, err
	}
	defer d.remove()
	path := d.path + "/victim"
	if err := r.create(path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	g, err := inotify{}.open(matrix.Watch{})
	if err != nil {
		return nil, err
	}
	defer g.close()
	if _, err := unix.InotifyAddWatch(g.fd(), d.path, unix.IN_DELETE); err != nil {
		return nil, fmt.Errorf("inotify_add_watch: %w", err)
	}
	if _, err := unix.InotifyAddWatch(g.fd(), path, unix.IN_ATTRIB|unix.IN_DELETE_SELF); err != nil {
		return nil, fmt.Errorf("inotify_add_watch: %w", err)
	}
	if err := r.remove(path); err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.kind, path, err)
	}
	var events []string
	buf := make([]byte, 4096)
	// The inode dies within the call, so all events are queued when it returns.
	for {
		n, err := unix.Read(g.fd(), buf)
		if err == unix.EAGAIN || n == 0 {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		var ev event
		for rest := g.next(buf[:n], &ev); rest != nil; rest = g.next(rest, &ev) {
			events = append(events, eventName(ev.mask))
		}
	}
}

func eventName(mask uint64) string {
	switch {
	case mask&unix.IN_ATTRIB != 0:
		return "ATTRIB"
	case mask&unix.IN_DELETE_SELF != 0:
		return "DELETE_SELF"
	case mask&unix.IN_DELETE != 0:
		return "DELETE"
	case mask&unix.IN_IGNORED != 0:
		return "IGNORED"
	}
	return fmt.Sprintf("%#x", mask)
}
