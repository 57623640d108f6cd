package guest

import (
	"fmt"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// witnessFile is the order witness for a file: on one inotify group, watch a
// directory (IN_DELETE) and a file in it (IN_ATTRIB | IN_DELETE_SELF), unlink
// the file, read the order. The victim has one link and nobody holds it: with
// other references d_delete() only unhashes, and with another link
// IN_DELETE_SELF never comes.
func witnessFile(filesystem, root string) matrix.Witness {
	w := matrix.Witness{Filesystem: filesystem, Kind: "unlink"}
	events, err := witnessEvents(root)
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
		case e == "DELETE" && contains(rest, "DELETE_SELF"):
			return matrix.Early
		case e == "DELETE_SELF" && contains(rest, "DELETE"):
			return matrix.Late
		}
	}
	return matrix.NoOrder
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

func witnessEvents(root string) ([]string, error) {
	d, err := newDir(root, "witness")
	if err != nil {
		return nil, err
	}
	defer d.remove()
	path := d.path + "/victim"
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	unix.Close(fd)
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
	if err := unix.Unlink(path); err != nil {
		return nil, fmt.Errorf("unlink %s: %w", path, err)
	}
	var events []string
	buf := make([]byte, 4096)
	// The inode dies within unlink(2), so all events are queued when it returns.
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
