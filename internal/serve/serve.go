// Package serve shows a state directory over HTTP, read-only: the calendar, the
// reports, trends and logs, the same as JSON, and metrics for Prometheus.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
)

// Server answers for one state directory.
type Server struct {
	State string
	// Cell reads kernel/filesystem/scenario/watch.
	Cell func(string) (matrix.Cell, error)
	// Now is the clock, for ages.
	Now func() time.Time
	// Hosts are the names that a request may be addressed to; empty for any.
	// A page elsewhere whose name is made to lead to this machine gets nothing.
	Hosts []string

	mu   sync.Mutex
	db   *history.DB
	file os.FileInfo // that db has open
}

// LocalHosts are the names of a server that listens on the address: those of
// this machine for a loopback address, any for others.
func LocalHosts(address string) []string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return []string{"localhost", "127.0.0.1", "::1", host}
	}
	return nil
}

// Handler is what the server answers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /index.html", s.index)
	mux.HandleFunc("GET /runs/{run}/{file}", s.nightFile)
	mux.HandleFunc("GET /cells", s.cells)
	mux.HandleFunc("GET /trend", s.trend)
	mux.HandleFunc("GET /logs/{sha256}", s.log)
	mux.HandleFunc("GET /api/runs", s.apiRuns)
	mux.HandleFunc("GET /api/runs/{run}", s.apiRun)
	mux.HandleFunc("GET /api/runs/{run}/results", s.apiResults)
	mux.HandleFunc("GET /api/runs/{run}/changes", s.apiChanges)
	mux.HandleFunc("GET /api/runs/{run}/logs", s.apiLogs)
	mux.HandleFunc("GET /api/trend", s.apiTrend)
	mux.HandleFunc("GET /api/compare", s.apiCompare)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }) // browsers ask
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /metrics", s.metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if len(s.Hosts) > 0 && !slices.Contains(s.Hosts, strings.Trim(host, "[]")) {
			http.Error(w, "this server is not "+host, http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

// open returns the history, opened again where another file took its place.
func (s *Server) open(ctx context.Context) (*history.DB, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := os.Stat(filepath.Join(s.State, history.Name))
	if err == nil && s.db != nil && os.SameFile(now, s.file) {
		return s.db, nil
	}
	db, err := history.Read(context.WithoutCancel(ctx), s.State)
	if err != nil {
		return nil, err
	}
	// The old one is left to the requests that still read it.
	s.db, s.file = db, now
	return db, nil
}

// Close closes the history.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// fail answers with the status that the error stands for.
func fail(w http.ResponseWriter, err error) {
	var missing *history.NotFound
	var bad *badRequest
	switch {
	case errors.As(err, &missing):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.As(err, &bad):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

type badRequest struct{ error }

// with runs do with the history and answers what goes wrong.
func (s *Server) with(w http.ResponseWriter, r *http.Request, do func(*history.DB) error) {
	db, err := s.open(r.Context())
	if err == nil {
		err = do(db)
	}
	if err != nil {
		fail(w, err)
	}
}

// cell is the cell that a request names.
func (s *Server) cell(r *http.Request) (matrix.Cell, error) {
	c, err := s.Cell(r.URL.Query().Get("cell"))
	if err != nil {
		return c, &badRequest{fmt.Errorf("cell: %w", err)}
	}
	return c, nil
}

func sendJSON(w http.ResponseWriter, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(data, '\n')) // a client that left needs no answer
	return nil
}
