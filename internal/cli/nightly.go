package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kqual/internal/atomicfile"
	"kqual/internal/history"
	"kqual/internal/nightly"
	"kqual/matrix"
	"kqual/reports"
)

type nightlyOptions struct {
	sel      selector
	limits   budgetFlags
	state    string
	maxAge   string // see parseAge
	force    bool
	baseline string
	onChange string
	keep     int
	accel    string
	maxTime  time.Duration
	asJSON   bool
}

// hookTime is how long --on-change may take.
const hookTime = 5 * time.Minute

func (a *app) nightlyCommand() *cobra.Command {
	var o nightlyOptions
	cmd := &cobra.Command{
		Use:   "nightly",
		Short: "Run the matrix for tonight, compare with the night before and publish",
		Long: `Run what is not decided yet, keep it in the history, say what changed since the
night before and publish a report. Killed at any moment, the next call goes on.

A cell is not measured again while a firm answer is not older than --max-age, of
the same kernel image, cell, machine, sampling, host and version of kqual; the
report says how old each is. Controls are always measured.

STATE/runs/DATE-N/ gets the report, STATE/history.db the results and
STATE/index.html the calendar. Standard output says what changed. --on-change
finds the night's name, directory and exit code in KQUAL_RUN, KQUAL_DIR and
KQUAL_EXIT.

Exit codes:
  0    every cell met its expectation and nothing got worse
  1    a cell is affected that was not, or an expectation is broken
  2    bad usage or invalid matrix; no virtual machine was started
  3    a cell has no answer or coverage was lost, or kqual could not do its work
  130  interrupted; the next call goes on`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.nightly(cmd.Context(), o) },
	}
	o.sel.matrixFlag(cmd)
	stateFlag(cmd, &o.state)
	f := cmd.Flags()
	f.StringVar(&o.maxAge, "max-age", "7d", "`AGE` that an answer may have to be taken over, such as 7d or 12h")
	f.BoolVar(&o.force, "force", false, "measure every cell again")
	f.StringVar(&o.baseline, "baseline", "last", "`RUN` to compare with: a name, a tag, or last for the finished night before")
	f.StringVar(&o.onChange, "on-change", "", "`COMMAND` for the shell that gets what changed as JSON on standard input, if something did")
	f.IntVar(&o.keep, "keep", 30, "how many nights keep their directory; the history keeps all, tagged nights keep theirs")
	f.StringVar(&o.accel, "accel", "", "accelerator for every kernel: auto, kvm or tcg; nothing is taken over then")
	o.limits.flags(cmd)
	maxRunTimeFlag(cmd, &o.maxTime)
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

func (o nightlyOptions) check() error {
	if _, err := parseAge("--max-age", o.maxAge); err != nil { // before anything is started
		return err
	}
	if o.keep < 1 {
		return usage(fmt.Errorf("--keep: %d is less than 1; the last night is always kept", o.keep))
	}
	if _, err := o.limits.budget(); err != nil {
		return err
	}
	if err := checkMaxRunTime(o.maxTime); err != nil {
		return err
	}
	return checkAccel(o.accel)
}

func (a *app) nightly(ctx context.Context, o nightlyOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	spec, plan, err := o.sel.plan(ctx, a)
	if err != nil {
		return err
	}
	for _, c := range plan.NoControl {
		a.say("kqual: warning: no cell of a control is planned: %s", c)
	}
	unlock, err := claim(o.state, fmt.Errorf("another kqual nightly is at work in %s; this one does nothing", o.state))
	if err != nil {
		return err
	}
	defer unlock()
	if err := nightly.Tidy(o.state); err != nil {
		return err
	}
	return a.changeHistory(ctx, o.state, func(db *history.DB) error {
		if db.SetAside != "" {
			if err := a.refill(ctx, db, o.state); err != nil {
				return err
			}
		}
		if o.baseline != "last" { // before anything is measured in vain
			if _, err := db.Find(ctx, o.baseline); err != nil {
				return err
			}
		}
		id, r, err := a.measureNight(ctx, db, o, spec, plan)
		if err == nil && r.State == reports.StateDone && !nightly.Today(id, time.Now()) {
			// Killed after it was measured, on another day: that one first.
			if _, err = a.finishNight(ctx, db, o, id, r); err == nil {
				id, r, err = a.measureNight(ctx, db, o, spec, plan)
			}
		}
		if err != nil {
			return err
		}
		if r.State != reports.StateDone {
			return &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted: night %s is unfinished, the next kqual nightly goes on with it", id)}
		}
		n, err := a.finishNight(ctx, db, o, id, r)
		if err != nil {
			return err
		}
		out := n.json
		if !o.asJSON {
			if out, err = n.Text(looks(a.Out)); err != nil {
				return err
			}
		}
		if _, err := a.Out.Write(out); err != nil {
			return err
		}
		code := n.Exit
		if n.hook != nil && code == exitOK {
			code = exitNoAnswer
		}
		if code == exitOK {
			return nil
		}
		return &exitError{code: code}
	})
}

// finished is a night that is published.
type finished struct {
	nightly.Night
	json []byte
	hook error // of --on-change; it has been said
}

// refill imports the nights whose directory is still there into a new history.
func (a *app) refill(ctx context.Context, db *history.DB, state string) error {
	nights, err := nightly.Nights(state)
	if err != nil {
		return err
	}
	n := 0
	for _, id := range nights {
		path := filepath.Join(nightly.Dir(state, id), nightly.ResultsName)
		r, err := reports.Load(path)
		if err != nil || r.State != reports.StateDone {
			continue
		}
		if _, _, err := db.Import(ctx, r, history.Source{ID: id, Path: path, Logs: filepath.Join(filepath.Dir(path), logsName)}); err != nil {
			return err
		}
		var night nightly.Night
		if data, err := os.ReadFile(filepath.Join(nightly.Dir(state, id), nightly.NightName)); err == nil && json.Unmarshal(data, &night) == nil {
			if err := db.SetNight(ctx, id, night.Baseline, night.Exit, night.Why, data); err != nil {
				return err
			}
		}
		n++
	}
	a.say("kqual: %s filed again from %s; tags are lost", count(n, "night"), filepath.Join(state, nightly.RunsDir))
	return nil
}

// measureNight measures what is not decided, or finds it done by a night that
// was killed later.
func (a *app) measureNight(ctx context.Context, db *history.DB, o nightlyOptions, spec *matrix.Spec, plan *matrix.Plan) (string, *reports.Report, error) {
	now := time.Now()
	id, unfinished, left, err := nightly.Choose(o.state, spec.Hash, tool(), now)
	if err != nil {
		return "", nil, err
	}
	if left != "" {
		a.say("kqual: warning: %s", left)
	}
	cache, err := o.sel.openCache()
	if err != nil {
		return "", nil, err
	}
	budget, err := o.limits.budget()
	if err != nil {
		return "", nil, err
	}
	dir := nightly.Dir(o.state, id)
	j := job{spec: spec, plan: plan, cache: cache, dir: dir, accel: o.accel, budget: budget, maxTime: o.maxTime}
	switch {
	case unfinished != nil && unfinished.State == reports.StateDone && !nightly.NothingRan(unfinished):
		a.say("kqual: night %s is measured; going on with its report", id)
		return id, unfinished, nil
	case unfinished != nil:
		a.say("kqual: going on with night %s", id)
		j.known, j.before = unfinished.Kernels, unfinished.Timing.Wall
	case !o.force:
		maxAge, err := parseAge("--max-age", o.maxAge)
		if err != nil {
			return "", nil, err
		}
		var why string
		j.known, why, err = nightly.StillGood(ctx, db, nightly.Now{Spec: spec, Tool: tool(), Host: host(), At: now, Accel: o.accel}, maxAge)
		if err != nil {
			return "", nil, err
		}
		if why != "" {
			a.say("kqual: %s", why)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make the night's directory: %w", err)
	}
	r, err := a.perform(ctx, j)
	return id, r, err
}

// finishNight files a measured night, compares it and publishes. Each step can
// be done twice; night.json comes last.
func (a *app) finishNight(ctx context.Context, db *history.DB, o nightlyOptions, id string, r *reports.Report) (finished, error) {
	var out finished
	dir := nightly.Dir(o.state, id)
	src := history.Source{ID: id, Path: filepath.Join(dir, nightly.ResultsName), Logs: filepath.Join(dir, logsName)}
	if _, _, err := db.Import(ctx, r, src); err != nil {
		return out, err
	}
	base, err := nightly.Baseline(ctx, db, o.baseline, id, r)
	if err != nil {
		return out, err
	}
	n, err := nightly.Judge(ctx, db, id, base, r)
	if err != nil {
		return out, err
	}
	for _, f := range nightly.Published {
		format, err := reports.LookupFormat(f[0])
		if err != nil {
			return out, err
		}
		if err := (output{format: format, path: filepath.Join(dir, f[1])}).write(nil, r); err != nil {
			return out, err
		}
	}
	text, err := n.Text(reports.Options{})
	if err != nil {
		return out, err
	}
	if err := atomicfile.Write(filepath.Join(dir, nightly.ChangesName), text); err != nil {
		return out, err
	}
	data, err := n.JSON()
	if err != nil {
		return out, err
	}
	var hook error
	if o.onChange != "" && n.Changed() {
		if hook = a.tell(ctx, o.onChange, dir, n, data); hook != nil {
			a.say("kqual: %s", describe(hook))
		}
	}
	if err := db.SetNight(ctx, id, n.Baseline, n.Exit, n.Why, data); err != nil {
		return out, err
	}
	if err := atomicfile.Write(filepath.Join(dir, nightly.NightName), data); err != nil {
		return out, err
	}
	if err := a.pruneNights(ctx, db, o); err != nil {
		return out, err
	}
	if err := nightly.WriteIndex(ctx, db, o.state); err != nil {
		return out, err
	}
	return finished{n, data, hook}, nil
}

// tell runs the user's command with what changed on its standard input.
func (a *app) tell(ctx context.Context, command, dir string, n nightly.Night, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = bytes.NewReader(data)
	cmd.Stdout, cmd.Stderr = a.Err, a.Err // standard output is the comparison's
	cmd.Env = append(os.Environ(), "KQUAL_RUN="+n.Run, "KQUAL_DIR="+dir, fmt.Sprintf("KQUAL_EXIT=%d", n.Exit))
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("--on-change %q: %w", command, err)
	}
	return nil
}

func (a *app) pruneNights(ctx context.Context, db *history.DB, o nightlyOptions) error {
	runs, err := db.Runs(ctx, 0)
	if err != nil {
		return err
	}
	tagged := map[string]bool{}
	for _, r := range runs {
		tagged[r.ID] = len(r.Tags) > 0
	}
	removed, err := nightly.Prune(o.state, o.keep, tagged)
	if len(removed) > 0 {
		a.say("kqual: removed the directories of %s; the history keeps their results", strings.Join(removed, ", "))
	}
	return err
}
