package guest

import "golang.org/x/sys/unix"

func init() {
	registerChurn("inotify11", churn{
		names: 9999, buffer: 32 * (unix.SizeofInotifyEvent + 16), fresh: true, poll: true,
	}, "a loop like that of the kernel test inotify11: 9,999 names, each created and deleted at once and used "+
		"once in a directory of its own, an open(2) per event. Unlike that test it goes on after a hit, so that it "+
		"has a rate, and verifies the content. Promise and commits as for unlink. Stale: open(2) succeeded and "+
		"read(2) returned the content of this round")
}
