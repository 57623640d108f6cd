package reports

import (
	"fmt"
	"html/template"
	"strings"

	"kqual/matrix"
)

// costsTitle heads the side table.
const costsTitle = "Cost of unlink"

// costsLead says what the side table shows, and with what it was measured.
func (r *Report) costsLead() string {
	t := r.Costs
	text := fmt.Sprintf(
		"Deletes per second: unlink(2) on tmpfs, the median of each kernel's boots, which took turns in one run. Below, the ratio to %s "+
			"with its %s interval over the rounds: under 1 is slower. The patch is what goes on top of the kernel's base or, where it names none, its last patch.",
		t.Baseline, share(t.Confidence),
	)
	accels := strings.Join(t.Accels, " and ")
	text += " Accelerator: " + accels
	if strings.Contains(accels, "tcg") {
		text += "; under tcg these are not native costs"
	}
	return text + "."
}

// costsHead are the columns of the side table.
func (r *Report) costsHead() []string {
	head := []string{"kernel", "boots"}
	for _, g := range r.Costs.Groups {
		if g == 0 {
			head = append(head, "unwatched")
		} else {
			head = append(head, plural(g, "group"))
		}
	}
	return append(head, "size of the patch")
}

// costLines is a cell of the side table: deletes per second, and the ratio.
func costLines(at matrix.CostAt, baseline bool) []string {
	if at.PerSecond == 0 {
		return []string{"–"}
	}
	out := []string{fmt.Sprintf("%.0f/s", at.PerSecond)}
	switch {
	case at.Ratio != nil:
		out = append(out, fmt.Sprintf("%.3f [%.3f, %.3f]", at.Ratio.Value, at.Ratio.Lo, at.Ratio.Hi))
	case baseline:
		out = append(out, "1")
	}
	return out
}

// patchLines is the size of a patch.
func patchLines(p *matrix.Patch) []string {
	if p == nil {
		return []string{""}
	}
	return []string{p.Name, fmt.Sprintf("+%d −%d in %s", p.Added, p.Removed, plural(p.Files, "file"))}
}

// costsRows are the rows of the side table, each cell as lines.
func (r *Report) costsRows() [][][]string {
	var rows [][][]string
	for _, k := range r.Costs.Rows {
		row := [][]string{{Printable(k.Kernel)}, {fmt.Sprint(k.Boots)}}
		for _, at := range k.Costs {
			row = append(row, costLines(at, k.Kernel == r.Costs.Baseline))
		}
		lines := patchLines(k.Patch)
		lines[0] = Printable(lines[0])
		rows = append(rows, append(row, lines))
	}
	return rows
}

// costsFailures say why kernels have less than they should.
func (r *Report) costsFailures() []string {
	var out []string
	for _, k := range r.Costs.Rows {
		if k.Error != nil {
			out = append(out, Printable(k.Kernel+": a boot gave no costs: "+k.Error.Reason))
		}
	}
	return out
}

func (t *terminal) costs(r *Report) error {
	if r.Costs == nil {
		return nil
	}
	t.line("")
	t.line(t.paint(styleBold, costsTitle))
	t.paragraph("", r.costsLead())
	t.line("")
	var columns [][]textCell
	for _, h := range r.costsHead() {
		columns = append(columns, []textCell{{{units: []unit{{h}}, style: styleBold}}})
	}
	for _, row := range r.costsRows() {
		for i, lines := range row {
			var cell textCell
			for _, l := range lines {
				cell = append(cell, paragraph{units: nameUnits(l)})
			}
			columns[i] = append(columns[i], cell)
		}
	}
	if err := t.fitted(columns); err != nil {
		return err
	}
	for _, f := range r.costsFailures() {
		t.WriteString(Fill(f, "- ", t.Width))
	}
	return nil
}

func (m *markdown) costs(r *Report) error {
	if r.Costs == nil {
		return nil
	}
	m.printf("\n## %s\n\n%s\n\n", costsTitle, EscapeMarkdown(r.costsLead()))
	var rows [][]string
	for _, row := range r.costsRows() {
		var cells []string
		for _, lines := range row {
			cells = append(cells, EscapeMarkdown(strings.Join(lines, ", ")))
		}
		rows = append(rows, cells)
	}
	if err := m.table(r.costsHead(), rows); err != nil {
		return err
	}
	for i, f := range r.costsFailures() {
		if i == 0 {
			m.printf("\n")
		}
		m.printf("- %s\n", EscapeMarkdown(f))
	}
	return nil
}

// htmlCostsTemplate is the section of the page; there is none without costs.
var htmlCostsTemplate = template.Must(template.New("costs").Parse(`<section aria-labelledby="h-costs">
<h2 id="h-costs">{{.Title}}</h2>
<p>{{.Lead}}</p>
<div class="scroll" tabindex="0" role="region" aria-label="{{.Title}}"><table class="plain">
<thead><tr>{{range .Head}}<th scope="col">{{.}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}<tr>{{range $i, $lines := .}}{{if $i}}<td>{{else}}<th scope="row">{{end}}{{range $n, $l := $lines}}{{if $n}}<br>{{end}}{{$l}}{{end}}{{if $i}}</td>{{else}}</th>{{end}}{{end}}</tr>
{{end}}</tbody></table></div>
{{if .Failures}}<ul>{{range .Failures}}<li>{{.}}</li>
{{end}}</ul>
{{end}}</section>
`))

// htmlCosts is the side table for the page.
func (r *Report) htmlCosts() (template.HTML, error) {
	if r.Costs == nil {
		return "", nil
	}
	var b strings.Builder
	err := htmlCostsTemplate.Execute(&b, struct {
		Title, Lead string
		Head        []string
		Rows        [][][]string
		Failures    []string
	}{costsTitle, Printable(r.costsLead()), r.costsHead(), r.costsRows(), r.costsFailures()})
	return template.HTML(b.String()), err
}
