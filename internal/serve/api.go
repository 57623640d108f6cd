package serve

import (
	"net/http"
	"strconv"

	"kqual/internal/history"
)

func (s *Server) apiRuns(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil || limit < 0 {
			limit = 100
		}
		runs, err := db.Runs(r.Context(), limit)
		if err != nil {
			return err
		}
		return sendJSON(w, runs)
	})
}

// run finds the run that the path names: a name, a tag or last.
func run(r *http.Request, db *history.DB) (history.Run, error) {
	return db.Find(r.Context(), r.PathValue("run"))
}

func (s *Server) apiRun(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		found, err := run(r, db)
		if err != nil {
			return err
		}
		return sendJSON(w, found)
	})
}

func (s *Server) apiResults(w http.ResponseWriter, r *http.Request) {
	s.raw(w, r, (*history.DB).Export)
}

func (s *Server) apiChanges(w http.ResponseWriter, r *http.Request) {
	s.raw(w, r, (*history.DB).Changes)
}

func (s *Server) apiLogs(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		found, err := run(r, db)
		if err != nil {
			return err
		}
		logs, err := db.Logs(r.Context(), found.ID, "")
		if err != nil {
			return err
		}
		return sendJSON(w, logs)
	})
}

func (s *Server) apiTrend(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		cell, err := s.cell(r)
		if err != nil {
			return err
		}
		points, err := db.Trend(r.Context(), cell, 0)
		if err != nil {
			return err
		}
		return sendJSON(w, points)
	})
}

func (s *Server) apiCompare(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		q := r.URL.Query()
		before, err := db.Find(r.Context(), q.Get("old"))
		if err != nil {
			return err
		}
		after, err := db.Find(r.Context(), q.Get("new"))
		if err != nil {
			return err
		}
		d, err := db.Compare(r.Context(), before.ID, after.ID)
		if err != nil {
			return err
		}
		return sendJSON(w, d)
	})
}
