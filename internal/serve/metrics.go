package serve

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
)

// healthz says whether the history can be read; whether the nights are well is
// for the metrics to tell.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	db, err := s.open(r.Context())
	if err == nil {
		_, err = db.Runs(r.Context(), 1)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// metrics is the text format of Prometheus 0.0.4.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		runs, err := db.Runs(r.Context(), 0)
		if err != nil {
			return err
		}
		var b strings.Builder
		metric := func(name, help string, values ...string) {
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
			for _, v := range values {
				fmt.Fprintf(&b, "%s%s\n", name, v)
			}
		}
		seconds := func(t time.Time) string { return fmt.Sprintf(" %.3f", float64(t.UnixMilli())/1000) }
		number := func(n int) string { return fmt.Sprintf(" %d", n) }
		metric("kqual_nights", "Nights in the history.", number(len(runs)))
		if len(runs) > 0 {
			last := runs[0]
			metric("kqual_last_night_timestamp_seconds", "When the last night ended.", seconds(last.Finished))
			metric("kqual_last_night_age_seconds", "How long ago the last night ended.", fmt.Sprintf(" %.0f", s.Now().Sub(last.Finished).Seconds()))
			metric("kqual_last_night_exit", "Exit code of the last night: 0 met, 1 worse, 3 no answer.", number(last.Exit))
			for _, run := range runs {
				if run.Exit == matrix.ExitMet {
					metric("kqual_last_success_timestamp_seconds", "When the last night ended that was as expected and no worse.", seconds(run.Finished))
					break
				}
			}
			var cells []string
			for _, k := range matrix.VerdictKinds() {
				cells = append(cells, fmt.Sprintf("{verdict=%q} %d", k, last.Verdicts[string(k)]))
			}
			metric("kqual_cells", "Cells of the last night by verdict.", cells...)
			fresh, lost, err := changed(r, db, last.ID)
			if err != nil {
				return err
			}
			metric("kqual_new_regressions", "Cells that are affected in the last night and were not in its baseline.", number(fresh))
			metric("kqual_lost_coverage", "Cells of the last night that lost their answer.", number(lost))
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write([]byte(b.String()))
		return nil
	})
}

// changed counts what got worse in a night; none in a run that kqual nightly did
// not make.
func changed(r *http.Request, db *history.DB, id string) (fresh, lost int, err error) {
	n, err := nightOf(r, db, id)
	var none *history.NotFound
	if errors.As(err, &none) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, err
	}
	for _, d := range n.Diff.Differences {
		switch {
		case d.Regressed():
			fresh++
		case d.Lost():
			lost++
		}
	}
	return fresh, lost, nil
}
