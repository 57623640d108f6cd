package guest

import "runtime"

// readerThread runs loop as the reading side: on a thread of its own, beside
// the deleter's CPU where there is another, as that user. It returns when the
// thread is ready; ended is closed when loop has returned.
func readerThread(uid, cpus int, loop func()) (ended chan struct{}, err error) {
	started := make(chan error)
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		if uid == 0 {
			defer runtime.UnlockOSThread()
		} // else the thread ends with the goroutine: it is no more root's
		if cpus > 1 {
			pinTo(1)
		}
		if uid != 0 {
			if err := become(uid); err != nil {
				started <- err
				return
			}
		}
		started <- nil
		loop()
	}()
	return ended, <-started
}
