package nightly

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kqual/internal/atomicfile"
	"kqual/internal/history"
	"kqual/matrix"
)

//go:embed index.html
var indexHTML string

var indexPage = template.Must(template.New("index").Parse(indexHTML))

// WriteIndex writes STATE/index.html: the calendar of the nights and the number
// of cells by verdict over time. It needs no script and no network.
func WriteIndex(ctx context.Context, db *history.DB, state string) error {
	page, err := Index(ctx, db, state)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(state, IndexName), page)
}

// Index renders the page of a state directory. Where state is "", the nights are
// served: each has a report, whether or not its directory is still there.
func Index(ctx context.Context, db *history.DB, state string) ([]byte, error) {
	runs, err := db.Runs(ctx, shownNights)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := indexPage.Execute(&b, pageOf(state, runs)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// shownNights is how many nights the page has.
const shownNights = 400

type page struct {
	Served bool // links to pages that only a server has
	Kinds  []matrix.VerdictKind
	Months []month
	Nights []night // the newest first
	Bars   []bar
	Width  int
}

type month struct {
	Name  string
	Weeks [][7]day
}

type day struct {
	Number int // 0 outside of the month
	Class  string
	Link   string
	Title  string
}

type night struct {
	history.Run
	Link    string // "" where the directory is gone
	Changes string // link to what changed, likewise
	Class   string
	Counts  []int // by Kinds
	Took    string
	When    string
}

// Said is what the night amounts to, and which kernels nothing vouches for.
func (n night) Said() string {
	if len(n.Unverified) == 0 {
		return n.Why
	}
	return n.Why + "; UNVERIFIED: nothing vouches for " + strings.Join(n.Unverified, ", ")
}

// bar is one night of the chart, in units of its SVG.
type bar struct {
	X     int
	Title string
	Parts []part
}

type part struct {
	Y, Height float64
	Class     string
}

// exitClass names how a night ended.
func exitClass(exit int) string {
	switch exit {
	case matrix.ExitMet:
		return "met"
	case matrix.ExitUnmet:
		return "unmet"
	}
	return "none"
}

const (
	barWidth  = 8
	chartBars = 120
	chartHigh = 120
)

func pageOf(state string, runs []history.Run) page {
	p := page{Served: state == "", Kinds: matrix.VerdictKinds()}
	byDay := map[string]night{}
	for _, r := range runs {
		n := night{Run: r, Class: exitClass(r.Exit), Took: matrix.AgeText(r.Finished.Sub(r.Started)), When: r.Started.Format("2006-01-02 15:04")}
		dir := RunsDir + "/" + url.PathEscape(r.ID) + "/"
		if state == "" || has(state, r.ID, "report.html") {
			n.Link = dir + "report.html"
		}
		if state == "" && r.Night || state != "" && has(state, r.ID, ChangesName) {
			n.Changes = dir + ChangesName
		}
		for _, k := range p.Kinds {
			n.Counts = append(n.Counts, r.Verdicts[string(k)])
		}
		p.Nights = append(p.Nights, n)
		if d := r.Started.Format(time.DateOnly); byDay[d].ID == "" { // the last of the day
			byDay[d] = n
		}
	}
	p.Months = calendar(byDay)
	shown := slices.Clone(p.Nights[:min(chartBars, len(p.Nights))])
	slices.Reverse(shown)
	for i, n := range shown {
		p.Bars = append(p.Bars, barOf(i, n, p.Kinds))
	}
	p.Width = max(1, len(shown)) * barWidth
	return p
}

// has says whether the directory of a night has a file.
func has(state, id, file string) bool {
	_, err := os.Stat(filepath.Join(Dir(state, id), file))
	return err == nil && nightID.MatchString(id)
}

func barOf(i int, n night, kinds []matrix.VerdictKind) bar {
	b := bar{X: i * barWidth, Title: n.ID}
	all := 0
	for _, c := range n.Counts {
		all += c
	}
	y := 0.0
	for k, c := range n.Counts {
		if c == 0 {
			continue
		}
		h := chartHigh * float64(c) / float64(all)
		b.Parts = append(b.Parts, part{Y: y, Height: h, Class: string(kinds[k])})
		b.Title += fmt.Sprintf(", %d %s", c, kinds[k])
		y += h
	}
	return b
}

// calendar lays out the months that have a night, the newest first, weeks from
// Monday.
func calendar(byDay map[string]night) []month {
	var months []string
	for d := range byDay {
		if m := d[:len("2006-01")]; !slices.Contains(months, m) {
			months = append(months, m)
		}
	}
	slices.Sort(months)
	slices.Reverse(months)
	var out []month
	for _, name := range months {
		first, err := time.Parse("2006-01", name)
		if err != nil {
			continue
		}
		m := month{Name: first.Format("January 2006")}
		var week [7]day
		for t := first; t.Month() == first.Month(); t = t.AddDate(0, 0, 1) {
			at := (int(t.Weekday()) + 6) % 7
			d := day{Number: t.Day(), Class: "empty"}
			if n, ok := byDay[t.Format(time.DateOnly)]; ok {
				d.Class, d.Link, d.Title = n.Class, n.Link, n.ID+": "+n.Said()
			}
			week[at] = d
			if at == 6 {
				m.Weeks = append(m.Weeks, week)
				week = [7]day{}
			}
		}
		if week != ([7]day{}) {
			m.Weeks = append(m.Weeks, week)
		}
		out = append(out, m)
	}
	return out
}
