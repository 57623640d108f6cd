package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "junit", Doc: "JUnit XML: a suite per kernel, a test case per cell, for CI", Render: renderJUnit})
}

// The shape that CI systems read: the one of Apache Ant's JUnit task.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"` // seconds
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Hostname   string          `xml:"hostname,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string       `xml:"name,attr"`
		Classname string       `xml:"classname,attr"`
		Time      string       `xml:"time,attr"`
		Failure   *junitResult `xml:"failure"`
		Error     *junitResult `xml:"error"`
		Skipped   *junitResult `xml:"skipped"`
		SystemOut string       `xml:"system-out,omitempty"`
	}
	junitResult struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// renderJUnit makes every cell a test case. A cell that does not meet its
// expectation is a failure, one without an answer an error, one that was not
// run skipped.
func renderJUnit(w io.Writer, r *Report, _ Options) error {
	out := junitSuites{Name: Printable(r.Matrix.Name), Time: junitTime(r.Timing.Wall)}
	suites := map[string]*junitSuite{}
	elapsed := map[string]time.Duration{}
	for _, k := range r.Kernels {
		out.Suites = append(out.Suites, junitSuite{
			Name: Printable(k.Kernel), Timestamp: r.Started.Format("2006-01-02T15:04:05"), Hostname: "localhost",
			Properties: []junitProperty{
				{"release", Printable(release(k))},
				{"version", Printable(k.Provenance.Version)},
				{"source", Printable(origin(k.Provenance))},
				{"arch", k.Machine.Architecture()},
				{"image_sha256", k.Provenance.SHA256},
			},
		})
	}
	for i := range out.Suites {
		suites[r.Kernels[i].Kernel] = &out.Suites[i]
	}
	for _, e := range r.evidence() {
		s := suites[e.Kernel]
		c := junitCase{
			Name: Printable(e.Watch), Time: junitTime(e.took()),
			Classname: junitClass(e.Kernel, e.Filesystem, e.Scenario),
			SystemOut: Printable(e.Text) + "\n" + Printable(r.repeat(e.Cell)) + "\n",
		}
		body := Printable(reason(e.Cell)) + "\n" + Printable(r.repeat(e.Cell)) + "\n"
		switch e.Gate {
		case matrix.GateUnmet:
			c.Failure = &junitResult{Message: Printable(e.GateText), Type: string(e.Verdict.Kind), Text: body}
			s.Failures++
		case matrix.GateNoAnswer:
			c.Error = &junitResult{Message: Printable(e.GateText), Type: string(e.Verdict.Kind), Text: body}
			s.Errors++
		case matrix.GateWaived:
			c.Skipped = &junitResult{Message: Printable(e.GateText)}
			s.Skipped++
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
		elapsed[e.Kernel] += e.took()
	}
	for _, c := range r.missing() {
		s := suites[c.Kernel]
		s.Cases = append(s.Cases, junitCase{
			Name: Printable(c.Watch.Name), Time: junitTime(0), Classname: junitClass(c.Kernel, c.Filesystem, c.Scenario),
			Skipped: &junitResult{Message: "planned, not run"},
		})
		s.Tests++
		s.Skipped++
	}
	for i := range out.Suites {
		s := &out.Suites[i]
		s.Time = junitTime(elapsed[r.Kernels[i].Kernel])
		out.Tests += s.Tests
		out.Failures += s.Failures
		out.Errors += s.Errors
		out.Skipped += s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("encode the suites: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitTime(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// junitClass is kernel.filesystem.scenario; dots make packages, so a version
// must have none.
func junitClass(kernel, filesystem, scenario string) string {
	return strings.ReplaceAll(Printable(kernel), ".", "_") + "." + Printable(filesystem) + "." + Printable(scenario)
}
