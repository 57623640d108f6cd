package serve

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kqual/internal/history"
	"kqual/internal/nightly"
	"kqual/matrix"
	"kqual/reports"
)

// pagePolicy is for the pages that need neither scripts nor anything from
// elsewhere; a report has a policy of its own.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

func sendPage(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	_, _ = w.Write(data)
}

func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		page, err := nightly.Index(r.Context(), db, "")
		if err != nil {
			return err
		}
		sendPage(w, page)
		return nil
	})
}

// raw answers with JSON that the history has as it is.
func (s *Server) raw(w http.ResponseWriter, r *http.Request, get func(*history.DB, context.Context, string) ([]byte, error)) {
	s.with(w, r, func(db *history.DB) error {
		found, err := run(r, db)
		if err != nil {
			return err
		}
		data, err := get(db, r.Context(), found.ID)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
		return nil
	})
}

// The files of a night by name: the format, and what a browser should take it
// for.
var files = map[string][2]string{
	"report.html":  {"html", "text/html; charset=utf-8"},
	"report.md":    {"markdown", "text/plain; charset=utf-8"},
	"summary.md":   {"summary", "text/plain; charset=utf-8"},
	"junit.xml":    {"junit", "application/xml"},
	"results.json": {"json", "application/json"},
	"rates.svg":    {"svg", "image/svg+xml"},
}

// nightFile renders a night from the history, whether or not its directory is still
// there.
func (s *Server) nightFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	switch name {
	case nightly.NightName:
		s.apiChanges(w, r)
		return
	case nightly.ChangesName:
		s.changes(w, r)
		return
	}
	s.with(w, r, func(db *history.DB) error {
		f, ok := files[name]
		if !ok {
			return &history.NotFound{What: "a night has no " + name}
		}
		_, report, err := db.FindReport(r.Context(), r.PathValue("run"))
		if err != nil {
			return err
		}
		format, err := reports.LookupFormat(f[0])
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := format.Render(&b, report, reports.Options{}); err != nil {
			return err
		}
		w.Header().Set("Content-Type", f[1])
		_, _ = w.Write(b.Bytes())
		return nil
	})
}

// changes is what changed in a night, in words.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		found, err := run(r, db)
		if err != nil {
			return err
		}
		n, err := nightOf(r, db, found.ID)
		if err != nil {
			return err
		}
		text, err := n.Text(reports.Options{})
		if err != nil {
			return err
		}
		sendText(w, text)
		return nil
	})
}

func sendText(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(data)
}

// nightOf is what a night amounts to; NotFound for a run that kqual nightly did
// not make.
func nightOf(r *http.Request, db *history.DB, id string) (n nightly.Night, err error) {
	data, err := db.Changes(r.Context(), id)
	if err != nil {
		return n, err
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return n, fmt.Errorf("changes of %s: %w", id, err)
	}
	return n, nil
}

func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		data, err := db.Log(r.Context(), strings.ToLower(r.PathValue("sha256")))
		if err != nil {
			return err
		}
		sendText(w, data)
		return nil
	})
}

//go:embed cells.html
var cellsHTML string

var cellsPage = template.Must(template.New("cells").Parse(cellsHTML))

type cellRow struct {
	ID, Text, Kind, Link string
}

// cells lists the cells of the last night, with a link to the trend of each.
func (s *Server) cells(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		last, err := db.Find(r.Context(), "last")
		if err != nil {
			return err
		}
		list, err := db.Cells(r.Context(), last.ID)
		if err != nil {
			return err
		}
		var rows []cellRow
		for _, j := range list {
			id := j.Cell.ID()
			rows = append(rows, cellRow{id, matrix.VerdictText(j.Verdict), string(j.Verdict.Kind), "/trend?cell=" + url.QueryEscape(id)})
		}
		slices.SortFunc(rows, func(a, b cellRow) int { return cmp.Compare(a.ID, b.ID) })
		var b bytes.Buffer
		if err := cellsPage.Execute(&b, map[string]any{"Run": last.ID, "Cells": rows}); err != nil {
			return err
		}
		sendPage(w, b.Bytes())
		return nil
	})
}

//go:embed trend.html
var trendHTML string

var trendPage = template.Must(template.New("trend").Parse(trendHTML))

type trendPoint struct {
	history.Point
	When, Rate, Report, Log string
}

func (s *Server) trend(w http.ResponseWriter, r *http.Request) {
	s.with(w, r, func(db *history.DB) error {
		cell, err := s.cell(r)
		if err != nil {
			return err
		}
		points, err := db.Trend(r.Context(), cell, 0)
		if err != nil {
			return err
		}
		var rows []trendPoint
		for i := len(points) - 1; i >= 0; i-- {
			p := trendPoint{Point: points[i], When: points[i].Started.Format("2006-01-02 15:04"), Report: "/runs/" + url.PathEscape(points[i].Run) + "/report.html"}
			if p.Verdict.Of > 0 {
				p.Rate = matrix.IntervalText(p.Verdict.Lo, p.Verdict.Hi)
			}
			if p.Point.Log != "" {
				p.Log = "/logs/" + p.Point.Log
			}
			rows = append(rows, p)
		}
		var b bytes.Buffer
		if err := trendPage.Execute(&b, map[string]any{"Cell": cell.ID(), "Points": rows}); err != nil {
			return err
		}
		sendPage(w, b.Bytes())
		return nil
	})
}
