package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

func (a *app) planCommand() *cobra.Command {
	var sel selector
	var limits budgetFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a run would do and what it would take; start nothing",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			budget, err := limits.budget()
			if err != nil {
				return err
			}
			spec, p, err := sel.plan(cmd.Context(), a)
			if err != nil {
				return err
			}
			if asJSON {
				return a.json(planReport(spec, p, budget.Resolve()))
			}
			return printPlan(a.Out, spec, p, budget.Resolve())
		},
	}
	sel.flags(cmd)
	sel.getFlags(cmd)
	limits.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// jsonPlan is what plan --json prints.
type jsonPlan struct {
	Matrix  string       `json:"matrix"`
	Path    string       `json:"path"`
	SHA256  string       `json:"sha256"`
	Boots   int          `json:"boots"`
	CPUs    int          `json:"cpus"` // of the host, for the times
	Likely  int64        `json:"likely_ns"`
	AtMost  int64        `json:"at_most_ns"`
	Kernels []jsonKernel `json:"kernels"`
	Cells   []jsonCell   `json:"cells"`
	NoEvent []jsonCell   `json:"no_event"`
	NoPlace []jsonCell   `json:"no_place"`
	// NoControl has one line per control of which no cell is planned.
	NoControl []string `json:"no_control"`
	// Costs is there where what unlink(2) costs is measured as well.
	Costs *matrix.CostPlan `json:"costs,omitempty"`
}

type jsonKernel struct {
	Kernel string `json:"kernel"`
	Source string `json:"source"`
	Cells  int    `json:"cells"`
	Likely int64  `json:"likely_ns"`
	AtMost int64  `json:"at_most_ns"`
	Get    string `json:"get,omitempty"` // what getting it takes
}

type jsonCell struct {
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"`
	Scenario   string `json:"scenario"`
	Watch      string `json:"watch"`
	Control    bool   `json:"control,omitempty"`

	Bystander *matrix.Bystander `json:"bystander,omitempty"`
}

func planReport(spec *matrix.Spec, p *matrix.Plan, b runner.Budget) jsonPlan {
	cost := p.Cost()
	likely, upper := runner.Estimate(p, b)
	out := jsonPlan{
		Matrix: spec.Name, Path: spec.Path, SHA256: spec.Hash, Boots: cost.Boots,
		CPUs: b.CPUs, Likely: int64(likely), AtMost: int64(upper),
		Cells: []jsonCell{}, NoEvent: jsonCells(p.NoEvent), NoPlace: jsonCells(p.NoPlace),
		NoControl: append([]string{}, p.NoControl...), Costs: p.Costs,
	}
	for i, k := range p.Kernels {
		c := cost.Kernels[i]
		out.Kernels = append(out.Kernels, jsonKernel{
			Kernel: k.Kernel.Name, Source: k.Kernel.Source, Cells: c.Cells,
			Likely: int64(c.Likely), AtMost: int64(c.Upper), Get: c.Source,
		})
		out.Cells = append(out.Cells, jsonCells(k.Cells)...)
	}
	return out
}

func jsonCells(cells []matrix.Cell) []jsonCell {
	out := []jsonCell{}
	for _, c := range cells {
		out = append(out, jsonCell{c.Kernel, c.Filesystem, c.Scenario, c.Watch.Name, c.Watch.Control, c.Watch.Bystander})
	}
	return out
}

func printPlan(w io.Writer, spec *matrix.Spec, p *matrix.Plan, budget runner.Budget) error {
	var b strings.Builder
	cost := p.Cost()
	likely, upper := runner.Estimate(p, budget)
	fmt.Fprintf(&b, "%s: %s, %s; about %s in virtual machines on %s, at most %s\n\n", reports.Printable(spec.Name),
		count(cost.Boots, "boot"), count(cost.Cells, "cell"), about(likely), count(budget.CPUs, "CPU"), about(upper))

	rows := [][]string{{"kernel", "source", "cells", "about", "at most", "to get it, unless it is in the cache"}}
	for i, k := range p.Kernels {
		c := cost.Kernels[i]
		rows = append(rows, []string{k.Kernel.Name, k.Kernel.Source, strconv.Itoa(c.Cells), about(c.Likely), about(c.Upper), c.Source})
	}
	b.WriteString(columns(rows))
	for _, k := range p.Kernels {
		if err := budget.Check(k.Kernel); err != nil {
			fmt.Fprintf(&b, "\n%s\n", reports.Printable(describe(err)))
		}
	}

	var planned []matrix.Cell
	for _, k := range p.Kernels {
		planned = append(planned, k.Cells...)
	}
	printCells(&b, "Cells", planned)
	printCells(&b, "No such event: the watch is not told of the scenario, so it is not run", p.NoEvent)
	printCells(&b, "No such scenario: it does not happen on the filesystem, so it is not run", p.NoPlace)
	if c := p.Costs; c != nil {
		fmt.Fprintf(&b, "\nCosts of unlink\n  %s of each kernel in turns, with %s groups; ratios to %s\n", count(c.Boots, "boot"),
			strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Groups), " ", ", "), "[]"), reports.Printable(c.Baseline))
	} else if p.NoCosts != "" {
		fmt.Fprintf(&b, "\n%s\n", reports.Printable(p.NoCosts))
	}
	for i, c := range p.NoControl {
		if i == 0 {
			b.WriteString("\nNo cell of these controls: nothing in this run shows what the host can see\n")
		}
		fmt.Fprintf(&b, "  %s\n", reports.Printable(c))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// about rounds a duration to what an estimate deserves.
func about(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// printCells lists cells, kernels with the same ones together.
func printCells(b *strings.Builder, title string, cells []matrix.Cell) {
	if len(cells) == 0 {
		return
	}
	type list struct{ kernels, lines []string }
	var lists []list
	for _, kernel := range kernelsOf(cells) {
		lines := places(cells, kernel)
		i := slices.IndexFunc(lists, func(l list) bool { return slices.Equal(l.lines, lines) })
		if i < 0 {
			i = len(lists)
			lists = append(lists, list{lines: lines})
		}
		lists[i].kernels = append(lists[i].kernels, reports.Printable(kernel))
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, l := range lists {
		fmt.Fprintf(b, "  %s\n", strings.Join(l.kernels, ", "))
		for _, line := range l.lines {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}

func kernelsOf(cells []matrix.Cell) []string {
	var out []string
	for _, c := range cells {
		if !slices.Contains(out, c.Kernel) {
			out = append(out, c.Kernel)
		}
	}
	return out
}

// places has one line per filesystem and scenario: tmpfs/unlink: WATCH, WATCH.
func places(cells []matrix.Cell, kernel string) []string {
	var order []string
	watches := map[string][]string{}
	for _, c := range cells {
		if c.Kernel != kernel {
			continue
		}
		at := reports.Printable(c.Filesystem + "/" + c.Scenario)
		if watches[at] == nil {
			order = append(order, at)
		}
		name := reports.Printable(c.Watch.Name)
		if c.Watch.Bystander != nil {
			name += " (bystander " + reports.Printable(c.Watch.Bystander.String()) + ")"
		}
		if c.Watch.Control {
			name += " (control)"
		}
		watches[at] = append(watches[at], name)
	}
	var out []string
	for _, at := range order {
		out = append(out, at+": "+strings.Join(watches[at], ", "))
	}
	return out
}
