package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kqual/internal/history"
	"kqual/internal/nightly"
	"kqual/matrix"
	"kqual/reports"
)

// site is a served state directory with two nights; in the second a cell got
// worse.
type site struct {
	*testing.T
	state string
	last  *reports.Report
	url   string
}

const console = "[ 1.0] <script>alert(1)</script> a console\n"

func newSite(t *testing.T) *site {
	t.Helper()
	ctx := context.Background()
	s := &site{T: t, state: t.TempDir()}
	r, err := reports.Load("../../reports/testdata/results.json")
	if err != nil {
		t.Fatal(err)
	}
	s.last = r
	logs := filepath.Join(s.state, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, filepath.Base(r.Kernels[0].Boots[0].ConsoleLog)), []byte(console), 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := history.Open(ctx, s.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"2026-11-24-1", "2026-11-25-1"} {
		if _, _, err := db.Import(ctx, r, history.Source{ID: id, Logs: logs}); err != nil {
			t.Fatal(err)
		}
		n := nightly.Night{Run: id}
		if id == "2026-11-25-1" {
			n.Baseline, n.Exit = "2026-11-24-1", matrix.ExitUnmet
			n.Diff.Differences = []matrix.Difference{
				{Kind: matrix.DiffWorse, Cell: "a", Change: matrix.ChangeNew}, {Kind: matrix.DiffWorse, Cell: "b", Change: matrix.ChangeLost},
			}
		}
		data, err := n.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := db.SetNight(ctx, id, n.Baseline, n.Exit, "why <b>not</b>", data); err != nil {
			t.Fatal(err)
		}
		r.Started, r.Finished = r.Started.AddDate(0, 0, 1), r.Finished.AddDate(0, 0, 1)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	server := &Server{
		State: s.state, Hosts: LocalHosts("127.0.0.1:0"),
		Now: func() time.Time { return time.Date(2026, 11, 25, 20, 1, 12, 345000000, time.UTC) },
		Cell: func(text string) (matrix.Cell, error) {
			p := strings.SplitN(text, "/", 4)
			if len(p) != 4 {
				return matrix.Cell{}, errors.New("no cell")
			}
			return matrix.Cell{Kernel: p[0], Filesystem: p[1], Scenario: p[2], Watch: matrix.Watch{Name: p[3]}}, nil
		},
	}
	ts := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		ts.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = ts.URL
	return s
}

func (s *site) get(path string, want int) (string, http.Header) {
	s.Helper()
	res, err := http.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	if res.StatusCode != want {
		s.Errorf("GET %s: %s, want %d: %s", path, res.Status, want, body)
	}
	return string(body), res.Header
}

const cell = "/trend?cell=debian-11/tmpfs/unlink/IN_DELETE"

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	s := newSite(t)
	seen := map[string]bool{}
	link := regexp.MustCompile(`href="([^"#]+)"`)
	var follow func(string)
	follow = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		body, header := s.get(path, http.StatusOK)
		if !strings.HasPrefix(header.Get("Content-Type"), "text/html") || strings.HasSuffix(path, "report.html") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			u, err := url.Parse(s.url + path)
			if err != nil {
				t.Fatal(err)
			}
			next, err := u.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
			if err != nil {
				t.Fatal(err)
			}
			follow(next.RequestURI())
		}
	}
	follow("/")
	trends, logs, reports := 0, 0, 0
	for path := range seen {
		switch {
		case strings.HasPrefix(path, "/trend?"):
			trends++
		case strings.HasPrefix(path, "/logs/"):
			logs++
		case strings.HasPrefix(path, "/runs/"):
			reports++
		}
	}
	if trends != len(s.last.Cells) || logs != 1 || reports != 2 {
		t.Errorf("%d trends, %d logs, %d reports: %v", trends, logs, reports, seen)
	}
}

func TestPagesAreSafeAndComplete(t *testing.T) {
	s := newSite(t)
	page, header := s.get("/", http.StatusOK)
	if !strings.Contains(page, "November 2026") || !strings.Contains(page, "why &lt;b&gt;not&lt;/b&gt;") || strings.Contains(page, "<script") {
		t.Errorf("the index:\n%s", page)
	}
	if header.Get("Content-Security-Policy") != pagePolicy || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", header)
	}
	if page, _ := s.get(cell, http.StatusOK); strings.Count(page, "clean &lt;0.1 % (0/3700)") != 2 {
		t.Errorf("the trend:\n%s", page)
	}
	if page, _ := s.get("/runs/last/report.html", http.StatusOK); !strings.Contains(page, "debian-11") {
		t.Error("the report does not name its kernel")
	}
	for _, file := range []string{"report.md", "summary.md", "junit.xml", "rates.svg"} {
		if body, _ := s.get("/runs/2026-11-24-1/"+file, http.StatusOK); body == "" {
			t.Errorf("%s is empty", file)
		}
	}
}

func TestTheAPIHasWhatThePagesShow(t *testing.T) {
	s := newSite(t)
	decode := func(path string, v any) {
		t.Helper()
		body, header := s.get(path, http.StatusOK)
		if err := json.Unmarshal([]byte(body), v); err != nil || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v, %s", path, err, header.Get("Content-Type"))
		}
	}
	var runs []history.Run
	decode("/api/runs", &runs)
	if len(runs) != 2 || runs[0].ID != "2026-11-25-1" || runs[0].Exit != matrix.ExitUnmet {
		t.Errorf("runs %+v", runs)
	}
	decode("/api/runs?limit=1", &runs)
	if len(runs) != 1 {
		t.Errorf("%d runs, want 1", len(runs))
	}
	var one history.Run
	decode("/api/runs/last", &one)
	if one.ID != "2026-11-25-1" {
		t.Errorf("last is %s", one.ID)
	}
	var results reports.Report
	decode("/api/runs/last/results", &results)
	if len(results.Cells) != len(s.last.Cells) {
		t.Errorf("%d cells", len(results.Cells))
	}
	var night nightly.Night
	decode("/api/runs/last/changes", &night)
	if night.Baseline != "2026-11-24-1" {
		t.Errorf("changes %+v", night)
	}
	var logs []history.BootLog
	decode("/api/runs/last/logs", &logs)
	if len(logs) != 1 {
		t.Fatalf("logs %+v", logs)
	}
	if body, header := s.get("/logs/"+logs[0].SHA256, http.StatusOK); body != console || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Errorf("the log as %s: %q", header.Get("Content-Type"), body)
	}
	var points []history.Point
	decode("/api"+cell, &points)
	if len(points) != 2 {
		t.Errorf("%d points", len(points))
	}
	var diff reports.Diff
	decode("/api/compare?old=2026-11-24-1&new=last", &diff)
	if diff.Common != len(s.last.Cells) {
		t.Errorf("%d cells in common", diff.Common)
	}
}

func TestMetricsTellHowTheLastNightWas(t *testing.T) {
	s := newSite(t)
	body, _ := s.get("/metrics", http.StatusOK)
	for _, want := range []string{
		"kqual_nights 2", "kqual_last_night_age_seconds 43200", "kqual_last_night_exit 1", `kqual_cells{verdict="clean"} 10`,
		`kqual_cells{verdict="affected"} 0`, "kqual_new_regressions 1", "kqual_lost_coverage 1",
		"kqual_last_success_timestamp_seconds 1795507272.345", "kqual_last_night_timestamp_seconds 1795593672.345",
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}
	for line := range strings.Lines(body) {
		if ok, _ := regexp.MatchString(`^(# (HELP|TYPE) kqual_\w+ .+|kqual_\w+(\{\w+="[^"]*"\})? [\d.]+)\n$`, line); !ok {
			t.Errorf("no line of the text format: %q", line)
		}
	}
	if body, _ := s.get("/healthz", http.StatusOK); body != "ok\n" {
		t.Errorf("healthz %q", body)
	}
}

func TestWhatIsNotThereIsRefused(t *testing.T) {
	s := newSite(t)
	for path, want := range map[string]int{
		"/nothing": 404, "/runs/none/report.html": 404, "/runs/last/history.db": 404, "/runs/last/..%2f..%2fhistory.db": 404,
		"/logs/00": 404, "/trend": 400, "/trend?cell=a/b": 400, "/trend?cell=x/tmpfs/unlink/y": 404, "/api/runs/none": 404,
		"/api/compare": 404, "/api/runs/none/changes": 404, "/history.db": 404,
	} {
		s.get(path, want)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		req, err := http.NewRequest(method, s.url+"/api/runs", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
	req, err := http.NewRequest(http.MethodGet, s.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "elsewhere.example"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %s", res.Status)
	}
}

func TestANewHistoryIsNoticed(t *testing.T) {
	s := newSite(t)
	s.get("/healthz", http.StatusOK)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Rename(filepath.Join(s.state, history.Name+suffix), filepath.Join(s.state, "old"+suffix))
	}
	s.get("/healthz", http.StatusServiceUnavailable)
	db, err := history.Open(context.Background(), s.state)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var runs []history.Run
	body, _ := s.get("/api/runs", http.StatusOK)
	if err := json.Unmarshal([]byte(body), &runs); err != nil || len(runs) != 0 {
		t.Errorf("runs %s", body)
	}
	s.get("/", http.StatusOK)
}
