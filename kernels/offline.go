package kernels

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kqual/matrix"
)

// offlineError is a file that an offline cache was asked for and does not have.
type offlineError struct{ failure *matrix.Failure }

func (e *offlineError) Error() string { return e.failure.Reason }
func (e *offlineError) Unwrap() error { return e.failure }

func isOffline(err error) bool {
	var e *offlineError
	return errors.As(err, &e)
}

func notInCache(what string) error {
	return &offlineError{&matrix.Failure{
		Side: matrix.SideKernel, Reason: what + " is not in the cache, and --offline forbids the network",
		Hint: "get it once without --offline (kqual kernels fetch)",
	}}
}

// offlineStep says how old what is used instead of the network is.
func offlineStep(what string, checked time.Time) string {
	return fmt.Sprintf("offline: %s as it was %s ago (%s)", what, matrix.AgeText(time.Since(checked)), checked.Local().Format(time.DateTime))
}

// remember keeps what a name stood for when its server was asked.
func (c *Cache) remember(ctx context.Context, name, value string) error {
	key := keptKey(name)
	unlock, err := c.Lock(ctx, keptKind+"-"+key)
	if err != nil {
		return err
	}
	defer unlock()
	return c.writeKept(key, keptFile{Checked: time.Now(), Body: []byte(value)})
}

// recall is what remember kept last, and when.
func (c *Cache) recall(name string) (value string, checked time.Time, ok bool) {
	key := keptKey(name)
	c.note(keptKind, key)
	kept := c.readKept(key)
	if kept == nil {
		return "", time.Time{}, false
	}
	return string(kept.Body), kept.Checked, true
}
