package kernels

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"
)

// resumeStep is how many new bytes a broken download must have brought to be
// gone on with at once, without counting as a try. A variable for tests.
var resumeStep int64 = 256 << 10

// transfer is a download that goes on where it broke off.
type transfer struct {
	env  Env
	req  Request
	out  *os.File
	hash hash.Hash // of the first size bytes
	size int64     // bytes that are in out
	most int64     // the largest size that counted as progress

	total          int64  // bytes as the server told; 0 where it did not
	etag, modified string // of what out has the beginning of
	resumed        bool   // out is of more than one answer
	whole          bool   // ask for all of it
}

// transferTo downloads req into the new file dst and returns its sha256.
func transferTo(ctx context.Context, env Env, req Request, dst string) (sum string, err error) {
	if env.Cache.Offline {
		return "", notInCache(strings.TrimPrefix(req.Step, "download "))
	}
	out, err := os.Create(dst)
	if err != nil {
		return "", err
	}
	t := &transfer{env: env, req: req, out: out, hash: sha256.New(), whole: req.SHA256 == ""}
	err = retry(ctx, func() error { return t.try(ctx) })
	if err := errors.Join(err, out.Close()); err != nil {
		os.Remove(dst)
		return "", err
	}
	return t.sum(), nil
}

func (t *transfer) sum() string { return hex.EncodeToString(t.hash.Sum(nil)) }

// try downloads until the file is there or nothing more comes. The hash
// decides: where it is wrong and the file is of several answers, which may be
// of several versions, it is downloaded once more, as a whole.
func (t *transfer) try(ctx context.Context) error {
	for {
		err := t.goOn(ctx)
		switch {
		case err == nil && (t.req.SHA256 == "" || t.sum() == t.req.SHA256):
			return nil
		case err == nil && t.resumed:
			t.whole = true
		case err == nil:
			return refusedFile(t.req.URL, fmt.Sprintf("wrong hash: sha256 %.16s…, want %.16s…", t.sum(), t.req.SHA256))
		case refused(err) || ctx.Err() != nil || t.size < t.most+resumeStep:
			return err
		default:
			t.most = t.size
		}
	}
}

// goOn asks for what is missing and appends it, or begins anew where the server
// has no part of that file to give.
func (t *transfer) goOn(ctx context.Context) error {
	header := http.Header{}
	if t.whole {
		t.size = 0
	}
	if t.size > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", t.size))
		switch {
		case t.etag != "" && !strings.HasPrefix(t.etag, "W/"): // a weak one does not speak for every byte
			header.Set("If-Range", t.etag)
		case t.modified != "":
			header.Set("If-Range", t.modified)
		}
	}
	resp, err := request(ctx, t.req.URL, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		t.size, t.resumed = 0, false
		t.hash.Reset()
		t.etag, t.modified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
		t.total = max(resp.ContentLength, 0)
	case t.size > 0 && resp.StatusCode == http.StatusPartialContent && t.continues(resp.Header):
		t.resumed = true
	case t.size > 0 && (resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		t.whole = true
		return t.goOn(ctx)
	default:
		return &httpStatus{t.req.URL, resp.StatusCode}
	}
	return t.receive(resp.Body)
}

// continues says whether a partial answer begins where the file broke off, and
// is of a file of the same size and tag.
func (t *transfer) continues(h http.Header) bool {
	var from, to, total int64
	if n, _ := fmt.Sscanf(h.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total); n < 2 || from != t.size {
		return false
	}
	if tag := h.Get("ETag"); tag != "" && t.etag != "" && tag != t.etag {
		return false
	}
	return t.total == 0 || total == 0 || total == t.total
}

func (t *transfer) receive(body io.Reader) error {
	if err := t.out.Truncate(t.size); err != nil {
		return err
	}
	if _, err := t.out.Seek(t.size, io.SeekStart); err != nil {
		return err
	}
	limit := t.req.Size
	if limit == 0 {
		limit = maxDownload
	}
	meter := &meter{env: t.env, step: t.req.Step, total: t.req.Size, done: t.size, told: t.size}
	defer meter.end()
	_, err := io.Copy(io.MultiWriter(t.out, t.hash, meter), io.LimitReader(body, limit+1-t.size))
	t.size = meter.done
	switch {
	case err != nil:
		return fmt.Errorf("get %s: %w", shownURL(t.req.URL), err)
	case t.size > limit:
		return refusedFile(t.req.URL, fmt.Sprintf("it goes on after the %d bytes it should have", limit))
	case t.size < max(t.req.Size, t.total):
		return fmt.Errorf("get %s: truncated: %d of %d bytes: %w", shownURL(t.req.URL), t.size, max(t.req.Size, t.total), io.ErrUnexpectedEOF)
	}
	return nil
}
