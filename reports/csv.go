package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "csv", Doc: "one line per cell, for spreadsheets and statistics", Render: renderCSV})
}

// csvHead names the columns. Rates are in [0, 1], durations in seconds.
var csvHead = append([]string{
	"kernel", "version", "release", "source", "patches", "filesystem", "scenario", "watch", "control",
	"verdict", "count", "of", "lo", "hi", "reason", "footnotes", "gate", "gate_text",
	"trials", "contested", "decisive", "stale", "stale_decisive", "recognised", "recognised_decisive",
	"lost", "duplicates", "overflows", "foreign", "false_alarms",
	"groups", "stop", "setup_s", "elapsed_s", "first_stale_s", "order_witness", "arch", "accel", "qemu", "image_sha256",
	"known_verdict", "known_why", "console_log",
}, csvNumberHead...)

// csvNumberHead names the columns of csvNumbers.
var csvNumberHead = []string{
	"blocks", "design_effect", "trials_per_s", "decision_s",
	"sensitivity_kernel", "sensitivity_count", "sensitivity_of", "sensitivity_lo", "sensitivity_hi",
	"natural_count", "natural_of", "natural_lo", "natural_hi",
}

func renderCSV(w io.Writer, r *Report, _ Options) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHead); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	facts := map[string]matrix.KernelFact{}
	for _, f := range r.Facts {
		facts[f.Kernel] = f
	}
	for _, e := range r.evidence() {
		n := e.counts()
		var o matrix.Outcome
		if e.outcome != nil {
			o = *e.outcome
		}
		var accel, qemu string
		for _, b := range e.kernel.Boots {
			accel, qemu = b.Accel, b.QEMU
		}
		p := e.kernel.Provenance
		row := []string{
			e.Kernel, p.Version, release(*e.kernel), origin(p), p.Details[matrix.DetailPatches],
			e.Filesystem, e.Scenario, e.Watch, strconv.FormatBool(e.Control),
			string(e.Verdict.Kind), strconv.Itoa(e.Verdict.Count), strconv.Itoa(e.Verdict.Of),
			csvFloat(e.Verdict.Lo), csvFloat(e.Verdict.Hi), reason(e.Cell), strings.Join(e.Verdict.Footnotes, "; "),
			string(e.Gate), e.GateText,
		}
		for _, x := range []int{
			n.Trials, n.Contested, n.Decisive, n.Stale, n.StaleDecisive, n.Recognised, n.RecognisedDecisive,
			n.Lost, n.Duplicates, n.Overflows, n.Foreign, n.FalseAlarms, e.groups(),
		} {
			row = append(row, strconv.Itoa(x))
		}
		f := facts[e.Kernel]
		row = append(
			row, string(o.Stop), csvFloat(o.Setup.Seconds()), csvFloat(o.Elapsed.Seconds()), csvFloat(o.FirstStale.Seconds()),
			e.order(), e.kernel.Machine.Architecture(), accel, qemu, p.SHA256, string(f.Expected), f.Why, e.log(),
		)
		row = append(row, csvNumbers(e.Numbers)...)
		for i := range row {
			row[i] = csvText(row[i])
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	for _, c := range r.missing() {
		row := make([]string, len(csvHead))
		row[0], row[5], row[6], row[7] = csvText(c.Kernel), csvText(c.Filesystem), csvText(c.Scenario), csvText(c.Watch.Name)
		row[9] = "missing"
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// csvNumbers say what a cell's evidence is worth; empty where nothing was
// measured.
func csvNumbers(n *matrix.Numbers) []string {
	if n == nil {
		return make([]string, len(csvNumberHead))
	}
	kernel, sensitivity := "", (*matrix.Rate)(nil)
	if n.Sensitivity != nil {
		kernel, sensitivity = n.Sensitivity.Kernel, &n.Sensitivity.Rate
	}
	row := []string{strconv.Itoa(n.Blocks), csvFloat(n.DesignEffect), csvFloat(n.PerSecond), csvFloat(n.Decision.Seconds()), kernel}
	return append(append(row, csvRate(sensitivity)...), csvRate(n.Natural)...)
}

func csvRate(r *matrix.Rate) []string {
	if r == nil {
		return make([]string, 4)
	}
	return []string{strconv.Itoa(r.Count), strconv.Itoa(r.Of), csvFloat(r.Lo), csvFloat(r.Hi)}
}

func csvFloat(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// csvText keeps a spreadsheet from reading a name as a formula, and control
// characters from reaching a terminal.
func csvText(s string) string {
	s = Printable(s)
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
