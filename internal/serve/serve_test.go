package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

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

// hostile is a watch's name, as whoever writes a matrix may choose it.
const hostile = `<img src=x onerror=alert(1)>"'&`

const console = "[ 1.0] <script>alert(1)</script> a console\n"

func newSite(t *testing.T) *site {
	t.Helper()
	ctx := context.Background()
	s := &site{T: t, state: t.TempDir()}
	data, err := os.ReadFile("../../reports/testdata/results.json")
	if err != nil {
		t.Fatal(err)
	}
	name, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	r, err := reports.Decode(bytes.ReplaceAll(data, []byte(`"IN_DELETE+getdents"`), name))
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
		n := nightly.Night{Run: id, Why: "why <b>not</b>"}
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
	link := regexp.MustCompile(`href="([^"]+)"`)
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
			next, err := u.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			follow(next.RequestURI())
		}
	}
	follow("/")
	trends, logs, nights := 0, 0, 0
	for path := range seen {
		switch {
		case strings.HasPrefix(path, "/trend?"):
			trends++
		case strings.HasPrefix(path, "/logs/"):
			logs++
		case strings.HasPrefix(path, "/runs/"):
			nights++
		}
	}
	if trends != len(s.last.Cells) || logs != 1 || nights != 4 { // a report each, and what changed
		t.Errorf("%d trends, %d logs, %d files of nights: %v", trends, logs, nights, seen)
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

// What changed is there of every night, and of no other run.
func TestWhatChangedIsServedInWords(t *testing.T) {
	s := newSite(t)
	body, header := s.get("/runs/2026-11-25-1/changes.txt", http.StatusOK)
	for _, want := range []string{"compared with 2026-11-24-1:\n", "Worse\n- a:\n- b:\n", "why <b>not</b> (exit 1)\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("lacks %q:\n%s", want, body)
		}
	}
	if header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("it is served as %s", header.Get("Content-Type"))
	}
	db, err := history.Open(context.Background(), s.state)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Import(context.Background(), s.last, history.Source{ID: "by-hand"}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.get("/runs/by-hand/changes.txt", http.StatusNotFound)
	if page, _ := s.get("/", http.StatusOK); strings.Count(page, ">what changed<") != 2 || !strings.Contains(page, `href="runs/by-hand/report.html"`) {
		t.Errorf("the links of the index:\n%s", page)
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
	// As Prometheus reads it.
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil || len(families) != 8 {
		t.Errorf("%d metrics, %v", len(families), err)
	}
	cells := 0.0
	for name, f := range families {
		if !strings.HasPrefix(name, "kqual_") || f.GetHelp() == "" || f.GetType() != dto.MetricType_GAUGE || len(f.Metric) == 0 {
			t.Errorf("%s: %v", name, f)
		}
		for _, m := range f.Metric {
			if name == "kqual_cells" && len(m.Label) == 1 && m.Label[0].GetName() == "verdict" {
				cells += m.GetGauge().GetValue()
			}
		}
	}
	if cells != float64(len(s.last.Cells)) {
		t.Errorf("%v cells in all, want %d", cells, len(s.last.Cells))
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
		"/api/compare": 404, "/api/runs/none/changes": 404, "/history.db": 404, "/../history.db": 404, "/runs/..%2f..%2fhistory.db/report.html": 404,
		"/runs/last/%2e%2e%2f%2e%2e%2fhistory.db": 404, "/logs/..%2fhistory.db": 404, "/runs/" + strings.Repeat("..%2f", 20) + "etc%2fpasswd/report.html": 404,
	} {
		if body, _ := s.get(path, want); strings.Contains(body, "SQLite format") || strings.Contains(body, "root:") {
			t.Errorf("%s gives a file:\n%s", path, body)
		}
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

func TestHostileNamesAreOnlyText(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	db, err := history.Open(ctx, s.state)
	if err != nil {
		t.Fatal(err)
	}
	s.last.Matrix.Name = "</title>" + hostile
	night := `../../"><script>alert(1)</script>`
	if _, _, err := db.Import(ctx, s.last, history.Source{ID: night}); err != nil {
		t.Fatal(err)
	}
	if err := db.Tag(ctx, night, "<b>tag"); err != nil {
		t.Fatal(err)
	}
	if err := db.SetNight(ctx, night, "", 0, hostile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	at := url.QueryEscape("debian-11/tmpfs/unlink/" + hostile)
	for _, path := range []string{"/", "/cells", "/trend?cell=" + at} {
		page, _ := s.get(path, http.StatusOK)
		for _, bad := range []string{"<img", "<script", "<b>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s has %s:\n%s", path, bad, page)
			}
		}
		if !strings.Contains(page, "&lt;script&gt;") && !strings.Contains(page, "&lt;img") {
			t.Errorf("%s does not show the names:\n%s", path, page)
		}
	}
	// The night is found under its name, and errors are text.
	if page, header := s.get("/runs/"+url.PathEscape(night)+"/report.html", http.StatusOK); !strings.Contains(page, "debian-11") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("its report: %v\n%s", header, page)
	}
	if body, header := s.get("/runs/"+url.PathEscape("<script>")+"/report.html", http.StatusNotFound); !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Errorf("an error as %s: %s", header.Get("Content-Type"), body)
	}
}

// A damaged history is an error that says so, and health tells; what a nightly
// begins instead is served.
func TestADamagedHistoryIsSaid(t *testing.T) {
	pages := []string{"/", "/cells", cell, "/api/runs", "/metrics", "/runs/last/report.html", "/api/compare?old=2026-11-24-1&new=last"}
	for name, served := range map[string]bool{"before the first request": false, "while it is served": true} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if served {
				s.get("/healthz", http.StatusOK)
			}
			path := filepath.Join(s.state, history.Name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096; i < len(data); i++ {
				data[i] ^= 0x55
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			said := 0
			for _, page := range pages {
				res, err := http.Get(s.url + page)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				switch {
				case served && res.StatusCode == http.StatusOK: // SQLite had it in memory
				case res.StatusCode == http.StatusInternalServerError && strings.Contains(string(body), "the next kqual nightly or history import sets it aside"):
					said++
				default:
					t.Errorf("%s: %s, %s", page, res.Status, body)
				}
			}
			if said == 0 {
				t.Error("no page says it")
			}
			if !served {
				if body, _ := s.get("/healthz", http.StatusServiceUnavailable); !strings.Contains(body, "the file is damaged") {
					t.Errorf("health: %s", body)
				}
			}
			db, err := history.Open(context.Background(), s.state)
			if err != nil || db.SetAside == "" {
				t.Fatalf("%v", err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s.get("/healthz", http.StatusOK)
			if page, _ := s.get("/", http.StatusOK); !strings.Contains(page, "There is no night yet") {
				t.Errorf("the new history:\n%s", page)
			}
		})
	}
}

// While a nightly writes, every page is answered, and from a whole night.
func TestPagesAreAnsweredWhileANightIsFiled(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	db, err := history.Open(ctx, s.state)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for _, page := range []string{"/", "/cells", cell, "/api/runs", "/metrics", "/runs/last/report.html"} {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				body, _ := s.get(page, http.StatusOK)
				if page == "/metrics" && !strings.Contains(body, `kqual_cells{verdict="clean"} 10`) {
					t.Errorf("half a night:\n%s", body)
				}
			}
		})
	}
	const more = 20
	for i := range more {
		s.last.Started, s.last.Finished = s.last.Started.Add(time.Hour), s.last.Finished.Add(time.Hour)
		if _, _, err := db.Import(ctx, s.last, history.Source{ID: fmt.Sprintf("more-%d", i)}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	if body, _ := s.get("/metrics", http.StatusOK); !strings.Contains(body, fmt.Sprintf("kqual_nights %d\n", 2+more)) {
		t.Errorf("not every night is there:\n%s", body)
	}
}
