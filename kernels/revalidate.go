package kernels

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"kqual/internal/atomicfile"
)

const (
	// freshTime is how long a file is used without asking the server again.
	// Many mirrors and proxies give no validator, so without it every kernel of
	// a run would get its suite's InRelease anew.
	freshTime = 10 * time.Minute
	// maxRevalidated bounds a file that changes, in bytes; InRelease has about
	// 200 kB.
	maxRevalidated = 8 << 20
)

// keptFile is the last good copy of a file that changes at its source.
type keptFile struct {
	Checked      time.Time `json:"checked"` // when the server last vouched for it
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Body         []byte    `json:"body"`
}

// revalidate gets the file at url, from the cache where it is fresh or the
// server says that it has not changed, and hands it to check. Only what check
// accepts is kept. Where the server cannot be reached the kept copy has to do;
// check sees that one, too. With what is new it also gets the copy that it would
// replace; nil otherwise. An offline cache has the kept copy alone, and check
// judges it by the time when the server last vouched for it.
func (c *Cache) revalidate(ctx context.Context, env Env, url string, check func(data, kept []byte, now time.Time) error) error {
	key := keptKey(url)
	c.note(keptKind, key)
	unlock, err := c.Lock(ctx, keptKind+"-"+key)
	if err != nil {
		return err
	}
	defer unlock()
	kept := c.readKept(key)
	if c.Offline {
		if kept == nil {
			return notInCache(shownURL(url))
		}
		env.Progress(Event{Kernel: env.Kernel, Notice: true, End: true, Step: offlineStep(shownURL(url), kept.Checked)})
		return check(kept.Body, nil, kept.Checked)
	}
	if kept != nil {
		if age := time.Since(kept.Checked); age >= 0 && age < c.fresh && check(kept.Body, nil, time.Now()) == nil {
			return nil
		}
	}
	var fresh *keptFile
	err = retry(ctx, func() (err error) {
		fresh, err = getIfChanged(ctx, url, kept)
		return err
	})
	if err != nil {
		if kept == nil || ctx.Err() != nil || isMissing(err) || refused(err) {
			return err
		}
		if cerr := check(kept.Body, nil, time.Now()); cerr != nil {
			return errors.Join(err, cerr)
		}
		env.Progress(Event{Kernel: env.Kernel, Notice: true, End: true, Step: fmt.Sprintf(
			"use the copy of %s from %s: %v", shownURL(url), kept.Checked.Local().Format(time.DateTime), err)})
		return nil
	}
	var old []byte
	if kept != nil {
		old = kept.Body
	}
	if err := check(fresh.Body, old, time.Now()); err != nil {
		return err
	}
	return c.writeKept(key, *fresh)
}

// keptKind is the cache's directory for files that change.
const keptKind = "release"

// keptExtension ends the name of such a file in the cache.
const keptExtension = ".json"

func init() {
	declareKind(cacheKind{name: keptKind, extension: keptExtension, damaged: func(_ context.Context, path string) (string, error) {
		// The signature of what it holds is verified at every use.
		if _, err := readKeptFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "it cannot be read: " + err.Error(), nil
		}
		return "", nil
	}})
}

// keptKey names the copy of what is at url, which may carry a password.
func keptKey(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:])
}

func (c *Cache) keptPath(key string) string { return filepath.Join(c.dir, keptKind, key+keptExtension) }

// writeKept keeps a copy; the caller has its lock.
func (c *Cache) writeKept(key string, k keptFile) error {
	data, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, keptKind), 0o755); err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	return atomicfile.Write(c.keptPath(key), data)
}

// readKept returns nil where there is no readable copy.
func (c *Cache) readKept(key string) *keptFile {
	k, err := readKeptFile(c.keptPath(key))
	if err != nil {
		return nil
	}
	return k
}

func readKeptFile(path string) (*keptFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var k keptFile
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, err
	}
	if len(k.Body) == 0 {
		return nil, errors.New("it is empty")
	}
	return &k, nil
}

// getIfChanged gets url unless kept is still what the server has.
func getIfChanged(ctx context.Context, url string, kept *keptFile) (*keptFile, error) {
	header := http.Header{}
	if kept != nil {
		if kept.ETag != "" {
			header.Set("If-None-Match", kept.ETag)
		}
		if kept.LastModified != "" {
			header.Set("If-Modified-Since", kept.LastModified)
		}
	}
	resp, err := request(ctx, url, header)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && kept != nil:
		same := *kept
		same.Checked = time.Now()
		return &same, nil
	case resp.StatusCode != http.StatusOK:
		return nil, &httpStatus{url, resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRevalidated+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", shownURL(url), err)
	}
	if len(body) > maxRevalidated {
		return nil, refusedFile(url, fmt.Sprintf("it has more than %d bytes", maxRevalidated))
	}
	return &keptFile{
		Checked: time.Now(), Body: body,
		ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"),
	}, nil
}
