// Package certify states on one page what the nights say about one kernel, and
// what that rests on.
package certify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

// Result is what a statement says.
type Result string

// The results, of a statement and of each cell. Fail outranks NotEnough.
const (
	Pass      Result = "pass"
	Fail      Result = "fail"
	NotEnough Result = "not enough evidence"
)

// Statement is about one kernel of one run, against a run that is trusted.
type Statement struct {
	Result  Result    `json:"result"`
	Why     []string  `json:"why"` // what keeps it from passing
	Kernel  string    `json:"kernel"`
	Run     string    `json:"run"`
	Against string    `json:"against"`     // as the user named it
	Base    string    `json:"against_run"` // the run of that name
	Made    time.Time `json:"made"`
	Began   time.Time `json:"began"` // of the run
	Tool    string    `json:"tool"`
	Matrix  string    `json:"matrix"`

	Provenance matrix.Provenance `json:"provenance"`
	Machine    matrix.Machine    `json:"machine"`
	Boots      []matrix.Boot     `json:"boots"`
	Cells      []Cell            `json:"cells"`
	Waivers    []matrix.Waiver   `json:"waivers"` // that excuse a cell of it
	// Rests names everything that it rests on, by sha256.
	Rests []Rest `json:"rests_on"`
}

// Cell is one answer of the statement.
type Cell struct {
	Cell     string           `json:"cell"`
	Result   Result           `json:"result"`
	Why      string           `json:"why,omitempty"` // unless it passes
	Text     string           `json:"text"`
	Before   string           `json:"before"` // in the run that is trusted; "" where it has none
	Verdict  matrix.Verdict   `json:"verdict"`
	Gate     string           `json:"gate"`
	Waiver   string           `json:"waiver,omitempty"`
	Evidence *matrix.Evidence `json:"evidence,omitempty"`
}

// Rest is one thing that a statement rests on.
type Rest struct {
	What   string `json:"what"`
	SHA256 string `json:"sha256"`
}

// Make states what run says about a kernel, against the run that a tag or name
// stands for.
func Make(ctx context.Context, db *history.DB, kernel, run, against string, now time.Time) (*Statement, error) {
	after, r, err := db.FindReport(ctx, run)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(r.Kernels, func(k matrix.KernelRun) bool { return k.Kernel == kernel })
	if i < 0 {
		var names []string
		for _, k := range r.Kernels {
			names = append(names, k.Kernel)
		}
		return nil, &history.NotFound{What: fmt.Sprintf("run %s has no kernel %q; %s", after.ID, kernel, matrix.DidYouMean(kernel, names))}
	}
	before, base, err := db.FindReport(ctx, against)
	if err != nil {
		return nil, err
	}
	if before.ID == after.ID {
		return nil, &history.NotFound{What: fmt.Sprintf("run %s cannot vouch for itself; name another run or tag to certify against", after.ID)}
	}
	k := r.Kernels[i]
	s := &Statement{
		Kernel: kernel, Run: after.ID, Against: against, Base: before.ID, Made: now.UTC().Round(time.Second), Began: r.Started,
		Tool: r.Tool.Version, Matrix: r.Matrix.Name, Provenance: k.Provenance, Machine: k.Machine, Boots: k.Boots,
		Why: []string{}, Cells: []Cell{}, Waivers: []matrix.Waiver{}, Rests: []Rest{},
	}
	diff, err := db.Compare(ctx, before.ID, after.ID)
	if err != nil {
		return nil, err
	}
	s.cells(r, base, diff, now)
	s.judge(r)
	return s, s.rests(ctx, db, after, before)
}

func (s *Statement) cells(r, base *reports.Report, diff reports.Diff, now time.Time) {
	was := map[string]reports.Cell{}
	for _, c := range base.Cells {
		was[c.ID()] = c
	}
	changed := map[string]matrix.Difference{}
	for _, d := range diff.Differences {
		if d.Cell != "" {
			changed[d.Cell] = d
		}
	}
	evidence := map[string]*matrix.Evidence{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			evidence[c.Cell.ID()] = c.Evidence
		}
	}
	for _, c := range r.Cells {
		if c.Kernel != s.Kernel {
			continue
		}
		before, known := was[c.ID()]
		delete(was, c.ID())
		out := Cell{Cell: c.ID(), Text: c.Text, Before: before.Text, Verdict: c.Verdict, Gate: string(c.Gate), Evidence: evidence[c.ID()]}
		var waiver *matrix.Waiver
		if c.Gate == matrix.GateWaived {
			waiver = s.waiver(r, c)
			out.Waiver = waiver.Name
		}
		out.Result, out.Why = judgeCell(c, known, changed[c.ID()], waiver, now)
		s.Cells = append(s.Cells, out)
	}
	for _, c := range base.Cells { // what is trusted and was not looked at
		if _, left := was[c.ID()]; left && c.Kernel == s.Kernel && !c.Control {
			s.Cells = append(s.Cells, Cell{Cell: c.ID(), Result: NotEnough, Why: "it was not measured", Before: c.Text})
		}
	}
}

// waiver finds what excuses a waived cell, and lists it.
func (s *Statement) waiver(r *reports.Report, c reports.Cell) *matrix.Waiver {
	at := matrix.Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: matrix.Watch{Name: c.Watch}}
	for _, w := range r.Waive {
		if w.Covers(at) && !w.Expired(r.Started) {
			if !slices.ContainsFunc(s.Waivers, func(o matrix.Waiver) bool { return o.Name == w.Name }) {
				s.Waivers = append(s.Waivers, w)
			}
			return &w
		}
	}
	return &matrix.Waiver{}
}

// judgeCell says what one cell says. d is what changed since the run that is
// trusted, which knows the cell or not.
func judgeCell(c reports.Cell, known bool, d matrix.Difference, waiver *matrix.Waiver, now time.Time) (Result, string) {
	switch {
	case waiver != nil && waiver.Expired(now):
		return Fail, fmt.Sprintf("waiver %s of %s expired on %s", waiver.Name, waiver.Owner, waiver.Expires.Format(time.DateOnly))
	case waiver != nil:
		return Pass, ""
	case c.Gate == matrix.GateUnmet:
		return Fail, c.GateText
	case c.Verdict.Kind == matrix.VerdictAffected && c.Gate == matrix.GateNoRule && !c.Control:
		return Fail, "affected, and no expectation allows that"
	case known && d.Regressed() && c.Verdict.Kind == matrix.VerdictAffected:
		return Fail, "it was not affected: " + d.Text
	case !c.Verdict.Kind.Firm():
		return NotEnough, cmp.Or(c.Verdict.Reason, "no answer")
	case d.Kind == matrix.DiffUnlike:
		return NotEnough, d.Text
	case d.Change == matrix.ChangeLost:
		return NotEnough, "coverage was lost: " + d.Text
	case d.Change == matrix.ChangeFlapping:
		return NotEnough, d.Text
	case !known && !c.Control:
		return NotEnough, "the run to certify against has no such cell"
	}
	return Pass, ""
}

// judge says what the cells amount to, and what the run itself lacks.
func (s *Statement) judge(r *reports.Report) {
	s.Result = Pass
	for _, c := range s.Cells {
		if c.Result != Pass {
			s.worse(c.Result, c.Cell+": "+c.Why)
		}
	}
	if len(s.Cells) == 0 {
		s.worse(NotEnough, "no cell of it was measured")
	}
	if r.State != reports.StateDone {
		s.worse(NotEnough, "the run is "+string(r.State))
	}
	if s.Provenance.SHA256 == "" {
		s.worse(NotEnough, "it is not known which image booted")
	}
	if why := s.Provenance.Unverified(); why != "" {
		s.worse(NotEnough, "UNVERIFIED: nothing vouches for the kernel, "+why)
	}
	check := r.ControlCheck
	if !check.Named() {
		s.worse(NotEnough, "the matrix names no controls: nothing shows what the host could see")
	}
	for _, line := range slices.Concat(check.Failed, check.Missing) {
		s.worse(NotEnough, "control: "+line)
	}
}

// worse notes what keeps the statement from passing.
func (s *Statement) worse(result Result, why string) {
	if result == Fail || s.Result == Pass {
		s.Result = result
	}
	s.Why = append(s.Why, why)
}

// rests lists what the statement rests on: the runs, also those that cells were
// taken over from, the matrix, the image, what it was made from, and the logs.
func (s *Statement) rests(ctx context.Context, db *history.DB, after, before history.Run) error {
	add := func(what, sum string) {
		if sum != "" && !slices.Contains(s.Rests, Rest{what, sum}) {
			s.Rests = append(s.Rests, Rest{what, sum})
		}
	}
	add("kernel image", s.Provenance.SHA256)
	for _, key := range slices.Sorted(maps.Keys(s.Provenance.Details)) {
		if value := s.Provenance.Details[key]; isSum(value) {
			add("kernel "+key, value)
		}
	}
	add("results of "+after.ID, after.Results)
	add("matrix of "+after.ID, after.SHA256)
	add("results of "+before.ID, before.Results)
	add("matrix of "+before.ID, before.SHA256)
	runs := []string{after.ID}
	for _, c := range s.Cells {
		if c.Evidence == nil || slices.Contains(runs, c.Evidence.Run) {
			continue
		}
		runs = append(runs, c.Evidence.Run)
		run, err := db.Find(ctx, c.Evidence.Run)
		var gone *history.NotFound
		if errors.As(err, &gone) {
			s.worse(NotEnough, "run "+c.Evidence.Run+", which measured cells of it, is not in the history")
			continue
		} else if err != nil {
			return err
		}
		add("results of "+run.ID, run.Results)
	}
	for _, id := range runs {
		logs, err := db.Logs(ctx, id, s.Kernel)
		if err != nil {
			return err
		}
		for _, l := range logs {
			add(fmt.Sprintf("console of boot %d of %s", l.Boot, id), l.SHA256)
		}
	}
	return nil
}

// isSum says whether a detail of the provenance is a sha256 in hex.
func isSum(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
