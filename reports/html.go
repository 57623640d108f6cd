package reports

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "html", Doc: "one self-contained page: heat map, filters, evidence of every cell, charts", Render: renderHTML})
}

var (
	//go:embed html/page.html
	htmlPage string
	//go:embed html/page.css
	htmlCSS string
	//go:embed html/page.js
	htmlJS string

	htmlTemplate = template.Must(template.New("page").Parse(htmlPage))
)

// The data that the page's script reads. Cells are many, so keys are short and
// what repeats is an index.
type (
	htmlData struct {
		Confidence string       `json:"confidence"`
		Counts     []string     `json:"counts"` // names of htmlCell.Counts
		Kernels    []htmlKernel `json:"kernels"`
		Places     []htmlPlace  `json:"places"`
		Watches    []htmlWatch  `json:"watches"`
		Cells      []htmlCell   `json:"cells"`
		// Pressure has extra groups, stale opens and trials of every block of an
		// affected plain watch.
		Pressure [][3]int `json:"pressure"`
		// Rates and Natural are chart points of watches by number, Times of kinds
		// of cells.
		Rates   map[int][]htmlRate `json:"rates"`
		Natural map[int][]htmlRate `json:"natural"`
		Times   []htmlTimes        `json:"times"`
	}
	htmlRate struct {
		Kernel int     `json:"k"`
		Count  int     `json:"n"`
		Of     int     `json:"of"`
		Lo     float64 `json:"lo"`
		Hi     float64 `json:"hi"`
	}
	htmlTimes struct {
		Name   string     `json:"name"`
		Points []htmlTime `json:"points"`
	}
	htmlTime struct {
		Kernel int           `json:"k"`
		Min    time.Duration `json:"min"`
		Median time.Duration `json:"med"`
		Max    time.Duration `json:"max"`
	}
	htmlKernel struct {
		Name    string        `json:"name"`
		Release string        `json:"release"`
		About   [][2]string   `json:"about"`
		Boot    time.Duration `json:"boot"`
		Logs    []htmlLog     `json:"logs"`
	}
	htmlLog struct {
		Path string `json:"path"`
		URL  string `json:"url,omitempty"`
		Tail string `json:"tail,omitempty"`
	}
	htmlPlace struct {
		Filesystem string `json:"fs"`
		Scenario   string `json:"scenario"`
		Watches    []int  `json:"w"`
		Controls   []int  `json:"c"`
	}
	htmlWatch struct {
		Name  string `json:"name"`
		Plain bool   `json:"plain"`
	}
	htmlCell struct {
		Kernel    int           `json:"k"`
		Place     int           `json:"p"`
		Watch     int           `json:"w"`
		Verdict   string        `json:"v"`
		Text      string        `json:"t"`
		Count     int           `json:"n"`
		Of        int           `json:"of"`
		Lo        float64       `json:"lo"`
		Hi        float64       `json:"hi"`
		Reason    string        `json:"r,omitempty"`
		Footnotes []string      `json:"f,omitempty"`
		Gate      string        `json:"g"`
		GateText  string        `json:"gt,omitempty"`
		Why       string        `json:"why,omitempty"`
		Counts    []int         `json:"c,omitempty"`
		Groups    int           `json:"gr,omitempty"`
		Blocks    int           `json:"b,omitempty"`
		Effect    string        `json:"de,omitempty"` // the text of numberTexts, as the two below
		Sensitive string        `json:"sn,omitempty"`
		Natural   string        `json:"na,omitempty"`
		Stop      string        `json:"st,omitempty"`
		Setup     time.Duration `json:"s,omitempty"`
		Elapsed   time.Duration `json:"e,omitempty"`
		First     time.Duration `json:"fs,omitempty"`
		Order     string        `json:"o,omitempty"`
		Events    []string      `json:"ev,omitempty"`
		OrderWhy  string        `json:"or,omitempty"`
		Command   string        `json:"cmd,omitempty"`
		Log       int           `json:"l"` // index of htmlKernel.Logs, -1 where there is none
	}
)

// findingTitles are the headings of findings, in the order of the page.
var findingTitles = []struct {
	kind  matrix.FindingKind
	title string
}{
	{matrix.FindingAdvice, "What to do"},
	{matrix.FindingAffected, "Affected"},
	{matrix.FindingBoundary, "Boundaries"},
	{matrix.FindingContradiction, "Contradictions"},
	{matrix.FindingMitigation, "Mitigations, the best first"},
	{matrix.FindingClean, "Clean"},
	{matrix.FindingNatural, "Nothing stale at the natural rate"},
	{matrix.FindingBackport, "Backports"},
	{matrix.FindingConfidence, "Confidence"},
	{matrix.FindingNoAnswer, "No answer"},
}

type htmlGroup struct {
	Title string
	Items []string
}

type htmlRow struct {
	Name, Source, Version, Release, Known, Observed, Machine, Accel, Boot string
	Contradicts                                                           bool
}

func renderHTML(w io.Writer, r *Report, o Options) error {
	g := r.arrange()
	data, err := json.Marshal(r.htmlData(g, o)) // escapes <, > and &
	if err != nil {
		return fmt.Errorf("encode the page's data: %w", err)
	}
	costs, err := r.htmlCosts()
	if err != nil {
		return fmt.Errorf("render the costs: %w", err)
	}
	class := "open"
	switch gateWord(r) {
	case "PASS":
		class = "pass"
	case "FAIL":
		class = "fail"
	}
	page := struct {
		Name, Word, Why, About, Class string
		Exit                          int
		Trust                         []htmlTrust
		Groups                        []htmlGroup
		Unmet, Waived                 []string
		Legend                        [][2]string
		Kernels                       []htmlRow
		How                           [][2]string
		Costs                         template.HTML
		CSS                           template.CSS
		JS, Data                      template.JS
	}{
		Name: Printable(r.Matrix.Name), Word: gateWord(r), Why: Printable(r.shortWhy()), Class: class, Exit: r.Gate.Exit,
		About: strings.TrimPrefix(headline(r), ": "), Unmet: printables(r.disagreements()), Waived: printables(r.waived()), Legend: g.legend(r.Sampling),
		Kernels: r.htmlRows(), How: r.measured(), Trust: htmlTrustOf(r), Costs: costs,
		CSS: template.CSS(htmlCSS), JS: template.JS(htmlJS), Data: template.JS(data),
	}
	for _, t := range findingTitles {
		var items []string
		for _, f := range r.Findings {
			if f.Kind == t.kind {
				items = append(items, Printable(f.Text))
			}
		}
		if len(items) > 0 {
			page.Groups = append(page.Groups, htmlGroup{t.title, items})
		}
	}
	if err := htmlTemplate.Execute(w, page); err != nil {
		return fmt.Errorf("render the page: %w", err)
	}
	return nil
}

func printables(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = Printable(out[i])
	}
	return out
}

func (r *Report) htmlRows() []htmlRow {
	facts := map[string]matrix.KernelFact{}
	for _, f := range r.Facts {
		facts[f.Kernel] = f
	}
	var out []htmlRow
	for _, k := range r.Kernels {
		f := facts[k.Kernel]
		var accels []string
		var boot time.Duration
		for _, b := range k.Boots {
			accels = insert(accels, b.Accel)
			boot = b.FirstRecord
		}
		out = append(out, htmlRow{
			Name: Printable(k.Kernel), Source: Printable(origin(k.Provenance)), Version: Printable(k.Provenance.Version),
			Release: Printable(r.release(k)), Known: Printable(promised(f)), Observed: cmp.Or(string(f.Observed), "–"),
			Machine: fmt.Sprintf("%d vCPUs, %d MiB", k.Machine.VCPUs, k.Machine.Memory>>20),
			Accel:   Printable(strings.Join(accels, ", ")), Boot: took(boot), Contradicts: f.Contradicts,
		})
	}
	return out
}

func (r *Report) htmlData(g *grid, o Options) htmlData {
	d := htmlData{
		Confidence: share(r.Sampling.Confidence), Counts: countNames, Kernels: []htmlKernel{}, Places: []htmlPlace{},
		Watches: []htmlWatch{}, Cells: make([]htmlCell, 0, len(r.Cells)+len(r.Missing)), Pressure: [][3]int{},
		Rates: map[int][]htmlRate{}, Natural: map[int][]htmlRate{}, Times: r.htmlTimes(),
	}
	kernels, places, watches := map[string]int{}, map[[2]string]int{}, map[string]int{}
	for i, w := range r.Watches {
		watches[w.Name] = i
		d.Watches = append(d.Watches, htmlWatch{Printable(w.Name), w.Plain})
		if natural := r.htmlRates(w.Name, true); len(natural) > 0 {
			d.Natural[i] = natural
		}
		if rates := r.htmlRates(w.Name, false); len(rates) > 0 && (w.Plain || len(d.Natural[i]) > 0) {
			d.Rates[i] = rates
		}
	}
	cells := r.evidence()
	logs := logs(cells)
	for i, k := range r.Kernels {
		kernels[k.Kernel] = i
		d.Kernels = append(d.Kernels, htmlKernelOf(k, logs[k.Kernel], o))
	}
	for i, b := range g.blocks {
		places[[2]string{b.filesystem, b.scenario}] = i
		p := htmlPlace{Filesystem: Printable(b.filesystem), Scenario: Printable(b.scenario), Watches: []int{}, Controls: []int{}}
		for _, c := range b.columns {
			p.Watches = append(p.Watches, watches[c.watch])
			if c.control {
				p.Controls = append(p.Controls, watches[c.watch])
			}
		}
		d.Places = append(d.Places, p)
	}
	for _, e := range cells {
		text := e.Text
		switch e.Verdict.Kind { // the reason is long, and shown with the evidence
		case matrix.VerdictInconclusive:
			text = "? inconclusive"
		case matrix.VerdictError:
			text = "! error"
		}
		c := htmlCell{
			Kernel: kernels[e.Kernel], Place: places[[2]string{e.Filesystem, e.Scenario}], Watch: watches[e.Watch],
			Verdict: string(e.Verdict.Kind), Text: Printable(text),
			Count: e.Verdict.Count, Of: e.Verdict.Of, Lo: e.Verdict.Lo, Hi: e.Verdict.Hi,
			Reason: Printable(reason(e.Cell)), Gate: string(e.Gate), GateText: Printable(e.GateText), Why: Printable(e.why),
			Groups: e.groups(), Command: Printable(r.repeat(e.Cell)),
			Log: slices.Index(logs[e.Kernel], e.log()),
		}
		for _, f := range e.Verdict.Footnotes {
			c.Footnotes = append(c.Footnotes, Printable(explain(f)))
		}
		if out := e.outcome; out != nil {
			c.Stop, c.Setup, c.Elapsed, c.First = string(out.Stop), out.Setup, out.Elapsed, out.FirstStale
			if out.Status == matrix.Measured {
				c.Counts = countValues(out.Counts)
			}
			if e.Verdict.Kind == matrix.VerdictAffected && d.Watches[c.Watch].Plain {
				for _, b := range out.Blocks {
					if b.Trials > 0 {
						d.Pressure = append(d.Pressure, [3]int{max(0, b.Groups-1), b.Stale, b.Trials})
					}
				}
			}
		}
		if e.Numbers != nil {
			c.Blocks = e.Numbers.Blocks
			c.Effect, c.Sensitive, c.Natural = numberTexts(*e.Numbers)
		}
		if e.witness != nil {
			c.Order, c.OrderWhy = string(e.witness.Order), Printable(e.witness.Reason)
			c.Events = printables(e.witness.Events)
		}
		d.Cells = append(d.Cells, c)
	}
	for _, c := range r.missing() {
		d.Cells = append(d.Cells, htmlCell{
			Kernel: kernels[c.Kernel], Place: places[[2]string{c.Filesystem, c.Scenario}], Watch: watches[c.Watch.Name],
			Verdict: "missing", Text: "– not run", Gate: "planned, not run", Log: -1,
			Command: Printable(r.repeat(Cell{Kernel: c.Kernel, Filesystem: c.Filesystem, Scenario: c.Scenario, Watch: c.Watch.Name})),
		})
	}
	return d
}

func (r *Report) htmlRates(watch string, natural bool) []htmlRate {
	var out []htmlRate
	for _, c := range r.chartRates(watch, natural) {
		out = append(out, htmlRate{c.kernel, c.Count, c.Of, c.Lo, c.Hi})
	}
	return out
}

func (r *Report) htmlTimes() []htmlTimes {
	out := []htmlTimes{}
	for _, d := range deciding {
		times := htmlTimes{Name: d.name, Points: []htmlTime{}}
		for _, c := range r.chartTimes(d.kinds) {
			times.Points = append(times.Points, htmlTime{c.kernel, c.min, c.median, c.max})
		}
		out = append(out, times)
	}
	return out
}

func htmlKernelOf(k matrix.KernelRun, logs []string, o Options) htmlKernel {
	out := htmlKernel{Name: Printable(k.Kernel), Release: Printable(release(k)), About: provenance(k.Provenance), Logs: []htmlLog{}}
	for _, b := range k.Boots {
		out.About = append(out.About, [2]string{"booted", Printable(fmt.Sprintf("%s, %s, %s %s, clock %s, first record after %s, ended: %s",
			b.Accel, "QEMU "+b.QEMU, plural(b.CPUs, "CPU"), b.CPUModel, b.Clocksource, seconds(b.FirstRecord), b.End))})
		out.Boot += b.FirstRecord
	}
	for _, path := range logs {
		log := htmlLog{Path: Printable(path), URL: o.link(path)}
		if o.Tail != nil {
			var lines []string
			for l := range strings.Lines(o.Tail(path)) {
				lines = append(lines, Printable(strings.TrimRight(l, "\r\n")))
			}
			log.Tail = strings.Join(lines, "\n")
		}
		out.Logs = append(out.Logs, log)
	}
	return out
}

// countNames and countValues are matrix.Counts as evidence shows them.
var countNames = []string{
	"trials", "contested", "decisive", "stale", "stale of decisive", "recognised", "recognised of decisive",
	"lost events", "duplicate events", "overflows", "foreign", "false alarms",
}

func countValues(c matrix.Counts) []int {
	return []int{
		c.Trials, c.Contested, c.Decisive, c.Stale, c.StaleDecisive, c.Recognised, c.RecognisedDecisive,
		c.Lost, c.Duplicates, c.Overflows, c.Foreign, c.FalseAlarms,
	}
}

// promised is what a kernel's version says, with why.
func promised(f matrix.KernelFact) string {
	if f.Expected == "" {
		return f.Why
	}
	return string(f.Expected) + ": " + f.Why
}

// htmlTrust is a line about the controls.
type htmlTrust struct {
	Text string
	Bad  bool
}

func htmlTrustOf(r *Report) []htmlTrust {
	lines, bad := trust(r)
	out := make([]htmlTrust, len(lines))
	for i, l := range lines {
		out[i] = htmlTrust{Printable(l), i < bad}
	}
	return out
}
