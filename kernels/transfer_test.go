package kernels

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// flaky serves a file and breaks off.
type flaky struct {
	data   []byte
	breaks []int // how many bytes each answer has before the connection ends; then all of it
	etag   string
	dated  bool // Last-Modified
	ranges bool // knows Range

	asked []string // Range and If-Range of each request
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := len(f.asked)
	f.asked = append(f.asked, strings.TrimSpace(r.Header.Get("Range")+" "+r.Header.Get("If-Range")))
	if f.etag != "" {
		w.Header().Set("ETag", f.etag)
	}
	var modified time.Time
	if f.dated {
		modified = archiveStart
	}
	if !f.ranges {
		r.Header.Del("Range")
	}
	if n < len(f.breaks) {
		w = &breaking{ResponseWriter: w, left: f.breaks[n]}
	}
	http.ServeContent(w, r, "", modified, bytes.NewReader(f.data))
}

// breaking ends the connection after left bytes of the body.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// fetchFlaky downloads from f and returns the requests that it took.
func fetchFlaky(t *testing.T, f *flaky, want []byte) ([]string, error) {
	t.Helper()
	s := httptest.NewServer(f)
	defer s.Close()
	e := newTestEnv(t)
	path, err := e.Cache.Download(t.Context(), e.Env, Request{URL: s.URL + "/file", SHA256: sum(want), Step: "download file"})
	if err != nil {
		if left := leftovers(t, e.Cache, "download"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return f.asked, err
	}
	data, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(data, want) {
		t.Errorf("got %d bytes, not the file of %d", len(data), len(want))
	}
	return f.asked, nil
}

// pattern is data of which no two parts are alike.
func pattern(size int, seed byte) []byte {
	var buf bytes.Buffer
	for i := 0; buf.Len() < size; i++ {
		fmt.Fprintf(&buf, "%c %08d\n", seed, i)
	}
	return buf.Bytes()[:size]
}

func TestBrokenDownloadGoesOnWhereItBrokeOff(t *testing.T) {
	defer func(was int64) { resumeStep = was }(resumeStep)
	resumeStep = 1000
	data := pattern(100_000, 'a')
	at := func(n int, condition string) string {
		return strings.TrimSpace(fmt.Sprintf("bytes=%d- %s", n, condition))
	}
	for name, test := range map[string]struct {
		server *flaky
		asked  []string
	}{
		"tagged":                   {&flaky{etag: `"1"`, ranges: true, breaks: []int{40_000}}, []string{"", at(40_000, `"1"`)}},
		"dated":                    {&flaky{dated: true, ranges: true, breaks: []int{40_000}}, []string{"", at(40_000, archiveStart.Format(http.TimeFormat))}},
		"neither":                  {&flaky{ranges: true, breaks: []int{40_000}}, []string{"", at(40_000, "")}},
		"weak tag":                 {&flaky{etag: `W/"1"`, ranges: true, breaks: []int{40_000}}, []string{"", at(40_000, "")}},
		"five times":               {&flaky{ranges: true, breaks: []int{1000, 2000, 50_000, 10_000, 36_999}}, []string{"", at(1000, ""), at(3000, ""), at(53_000, ""), at(63_000, ""), at(99_999, "")}},
		"no ranges":                {&flaky{breaks: []int{40_000}}, []string{"", at(40_000, "")}},
		"ever less without ranges": {&flaky{breaks: []int{40_000, 20_000}}, []string{"", at(40_000, ""), at(20_000, "")}},
	} {
		t.Run(name, func(t *testing.T) {
			test.server.data = data
			asked, err := fetchFlaky(t, test.server, data)
			must(t, err)
			want(t, "requests", asked, test.asked)
		})
	}
}

func TestDownloadOfAFileThatChangedIsWhole(t *testing.T) {
	defer func(was int64) { resumeStep = was }(resumeStep)
	resumeStep = 1000
	old, now := pattern(100_000, 'a'), pattern(100_000, 'b')
	longer := pattern(100_001, 'c')
	for name, test := range map[string]struct {
		etag, then string // tag before and after
		data       []byte // after
		asked      int
	}{
		"other tag":              {`"1"`, `"2"`, now, 2}, // If-Range makes it whole
		"no tag, other size":     {"", "", longer, 3},    // the size tells
		"no tag, the same size":  {"", "", now, 3},       // only the hash tells
		"the same tag, a liar's": {`"1"`, `"1"`, now, 3},
		"shorter":                {"", "", now[:30_000], 3}, // 416
	} {
		t.Run(name, func(t *testing.T) {
			f := &flaky{data: old, etag: test.etag, ranges: true, breaks: []int{40_000}}
			s := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(f.asked) == 1 {
					f.data, f.etag = test.data, test.then
				}
				f.ServeHTTP(w, r)
			})
			srv := httptest.NewServer(s)
			defer srv.Close()
			e := newTestEnv(t)
			path, err := e.Cache.Download(t.Context(), e.Env, Request{URL: srv.URL, SHA256: sum(test.data)})
			must(t, err)
			if got, err := HashFile(path); err != nil || got != sum(test.data) {
				t.Errorf("hash %s, %v", got, err)
			}
			want(t, "requests", len(f.asked), test.asked)
		})
	}
}

func TestDownloadThatGetsNowhereIsGivenUp(t *testing.T) {
	data := pattern(100_000, 'a')
	asked, err := fetchFlaky(t, &flaky{data: data, breaks: []int{500, 500, 500, 500, 500}}, data) // less than resumeStep each
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("error %v", err)
	}
	want(t, "tries", len(asked), tries)
}

func TestResumedDownloadWithTheWrongHashIsRefused(t *testing.T) {
	data := pattern(100_000, 'a')
	asked, err := fetchFlaky(t, &flaky{data: data, ranges: true, breaks: []int{40_000}}, []byte("another"))
	if !refused(err) || !strings.Contains(err.Error(), "wrong hash") {
		t.Errorf("error %v", err)
	}
	want(t, "requests", asked, []string{"", "bytes=40000-", ""}) // once more as a whole, then no more
}
