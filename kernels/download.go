package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kqual/matrix"
)

const (
	// maxDownload bounds a file whose size nobody told, in bytes.
	maxDownload = 2 << 30
	// dialTimeout bounds how long a server may take to accept a connection.
	dialTimeout = 15 * time.Second
	// stallTimeout ends a download that delivers nothing for so long.
	stallTimeout = 60 * time.Second
	// idleTimeout is how long a connection is kept for the next request: races go on
	// for hours after the last one.
	idleTimeout = 10 * time.Second
	// tries is how often a download is started before it is given up.
	tries = 3
	// retryPause is the wait before the second try; it doubles.
	retryPause = 500 * time.Millisecond
)

// Request is a file to download.
type Request struct {
	URL    string
	SHA256 string // hex; without one the cache keeps nothing under the URL
	Size   int64  // bytes; 0 where unknown
	Step   string // for progress
}

// httpStatus is an answer other than the file.
type httpStatus struct {
	url  string
	code int
}

func (e *httpStatus) Error() string {
	return fmt.Sprintf("get %s: %d %s", shownURL(e.url), e.code, http.StatusText(e.code))
}

// shownURL is a URL without the password that it may carry.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "the mirror"
	}
	return u.Redacted()
}

// isMissing says that the server has no such file.
func isMissing(err error) bool {
	var s *httpStatus
	return errors.As(err, &s) && (s.code == http.StatusNotFound || s.code == http.StatusGone)
}

var httpClient = &http.Client{Transport: watchedTransport{&http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
	ResponseHeaderTimeout: stallTimeout,
	TLSHandshakeTimeout:   dialTimeout,
	IdleConnTimeout:       idleTimeout,
	DisableCompression:    true,
}, stallTimeout}}

// downloadKind has what was downloaded, by its sha256.
const downloadKind = "download"

func init() { declareKind(entryKind(downloadKind, (*Pin).sums)) }

// downloadName is the file in the cache entry of a download.
const downloadName = "file"

// Download returns the path of a file with the requested hash, from the cache
// or the network. It is hashed on the way and appears only if the hash is
// right.
func (c *Cache) Download(ctx context.Context, env Env, req Request) (string, error) {
	if !hexSHA256.MatchString(req.SHA256) {
		return "", fmt.Errorf("get %s: %q is no sha256", shownURL(req.URL), req.SHA256)
	}
	dir, err := c.Entry(ctx, downloadKind, req.SHA256, func(tmp string) error {
		_, err := transferTo(ctx, env, req, filepath.Join(tmp, downloadName))
		return err
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, downloadName), nil
}

// downloadSize is the size of a file that was downloaded, in bytes; 0 where the
// cache does not have it.
func (c *Cache) downloadSize(sha256 string) int64 {
	m, err := readManifest(c.path(downloadKind, sha256))
	if err != nil {
		return 0
	}
	return m.Files[downloadName].Size
}

// downloadUnverified downloads what the URL gives, whatever it is, and returns
// its sha256: Download has it from then on.
func (c *Cache) downloadUnverified(ctx context.Context, env Env, req Request) (sum string, err error) {
	tmp, release, err := c.Temp()
	if err != nil {
		return "", err
	}
	defer release()
	file := filepath.Join(tmp, downloadName)
	if sum, err = transferTo(ctx, env, req, file); err != nil {
		return "", err
	}
	_, err = c.Entry(ctx, downloadKind, sum, func(dst string) error { return os.Rename(file, filepath.Join(dst, downloadName)) })
	return sum, err
}

// retry repeats what failed for a reason that may pass.
func retry(ctx context.Context, try func() error) error {
	pause := retryPause
	for n := 1; ; n++ {
		err := try()
		var s *httpStatus
		var unknown *net.DNSError
		final := err == nil || n == tries || ctx.Err() != nil || refused(err) || errors.Is(err, syscall.ENOSPC) ||
			errors.As(err, &s) && s.code < 500 && s.code != http.StatusTooManyRequests ||
			errors.As(err, &unknown) && unknown.IsNotFound
		if final {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause *= 2
	}
}

// refusedFile is a file that is not what it should be; trying again is no use.
func refusedFile(url, why string) error {
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("get %s: %s", shownURL(url), why),
		Hint: "the mirror is being updated, or it is not to be trusted: try again later, or name another mirror",
	}
}

// unreachable puts a hint to an error of the network; other errors stay as they
// are.
func unreachable(err error) error {
	var u *url.Error
	var s *httpStatus
	if refused(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &u) && !errors.As(err, &s) && !errors.Is(err, errStalled) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: oneLine(err),
		Hint: "check the network and the proxy (http_proxy, https_proxy), or name another mirror (debian: {mirror: …})",
	}
}

// refused says that something came and was not what it should be, as opposed
// to nothing coming at all.
func refused(err error) bool {
	var f *matrix.Failure
	return errors.As(err, &f)
}

// refusedBytes says that a file came whole and is another one. A shorter one
// looks as if it were cut off.
func refusedBytes(err error) bool {
	return refused(err) && !isOffline(err) || errors.Is(err, io.ErrUnexpectedEOF)
}

// request starts a GET. header may be nil.
func request(ctx context.Context, url string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return httpClient.Do(req)
}

var errStalled = fmt.Errorf("no data for %v", stallTimeout)

// watchedTransport ends the body of an answer with an error when nothing comes
// for stall.
type watchedTransport struct {
	http.RoundTripper
	stall time.Duration
}

func (t watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := t.RoundTripper.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	stalled := func() { cancel(errStalled) }
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: t.stall, timer: time.AfterFunc(t.stall, stalled)}
	return resp, nil
}

// watchedBody cancels its request when no data comes for stall.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context // of the request; its cause is what ended it
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(b.stall)
	}
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// meterStep is how many bytes pass between two progress events.
const meterStep = 256 << 10

// meter reports what passes through it.
type meter struct {
	env         Env
	step        string
	done, total int64
	told        int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	if m.done-m.told >= meterStep {
		m.told = m.done
		m.env.Progress(Event{Kernel: m.env.Kernel, Step: m.step, Done: m.done, Total: m.total})
	}
	return len(p), nil
}

func (m *meter) end() {
	m.env.Progress(Event{Kernel: m.env.Kernel, Step: m.step, Done: m.done, Total: m.total, End: true})
}
