package reports

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTablesFitAndKeepTheirNumbers(t *testing.T) {
	r := Build(synthetic())
	for w := 30; w <= 200; w += 5 {
		var b bytes.Buffer
		if err := renderTerminal(&b, r, Options{Width: w}); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		for _, number := range []string{"128/128", "128/131", "[92 %,", "99.8 %]", "[0.000992 %,", "0.0754 %]⁷", "0/3700", "(0/3720)⁶", "<0.1 %"} {
			if !strings.Contains(out, number) {
				t.Errorf("width %d cuts %q", w, number)
			}
		}
		tables, _, _ := strings.Cut(out, "STALE n/m")
		for line := range strings.Lines(tables) {
			if got := width(strings.TrimSuffix(line, "\n")); got > w {
				t.Errorf("width %d: a line has %d columns: %s", w, got, line)
			}
		}
	}
}

func TestSixWatchesFitSideBySideOn120Columns(t *testing.T) {
	var b bytes.Buffer
	if err := renderTerminal(&b, Build(synthetic()), Options{Width: 120}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "\nkernel "); got != 2 {
		t.Errorf("%d tables for two filesystems, want 2", got)
	}
}

func TestColourChangesNoText(t *testing.T) {
	r := Build(synthetic())
	var plain, coloured bytes.Buffer
	if err := renderTerminal(&plain, r, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := renderTerminal(&coloured, r, Options{Color: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour without being asked for")
	}
	bare := coloured.String()
	for _, style := range []string{"0", styleBold, styleDim, styleRed, styleGreen, styleYellow, "1;" + styleGreen} {
		bare = strings.ReplaceAll(bare, "\x1b["+style+"m", "")
	}
	var trimmed strings.Builder
	for line := range strings.Lines(bare) {
		trimmed.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if diff := cmp.Diff(plain.String(), trimmed.String()); diff != "" {
		t.Errorf("colour changes the text (-plain +coloured):\n%s", diff)
	}
}

func TestNamesWrapAtTheirJoints(t *testing.T) {
	for _, c := range []struct {
		name string
		w    int
		want []string
	}{
		{"IN_DELETE+EXCL_UNLINK", 40, []string{"IN_DELETE+EXCL_UNLINK"}},
		{"IN_DELETE+EXCL_UNLINK", 15, []string{"IN_DELETE", "+EXCL_UNLINK"}},
		{"IN_DELETE+EXCL_UNLINK", 8, []string{"IN_", "DELETE", "+EXCL_", "UNLINK"}},
		{"6.12.43+deb13-cloud-amd64", 16, []string{"6.12.43+deb13-", "cloud-amd64"}},
		{"two words", 5, []string{"two", "words"}},
		{" lead", 9, []string{"lead"}},
		{"", 5, []string{""}},
		{"内核内核", 3, []string{"内核内核"}},
	} {
		t.Run(fmt.Sprintf("%s at %d", c.name, c.w), func(t *testing.T) {
			if diff := cmp.Diff(c.want, wrap(nameUnits(c.name), c.w, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatDoesNotPrintIsShownQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"plain text ✓":      "plain text ✓",
		"\x1b[31mred":       `\x1b[31mred`,
		"a\nb\tc\r":         `a b c\r`,
		"\u202egnp.exe":     `\u202egnp.exe`,
		"bad\xffutf-8":      `bad\xffutf-8`,
		"real \uFFFD stays": "real \uFFFD stays",
	} {
		if got := Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMarkdownShowsHostileNamesAsTheyAre(t *testing.T) {
	for in, want := range map[string]string{
		"IN_DELETE":        "IN_DELETE",
		"_x_":              `\_x\_`,
		"a|b":              `a\|b`,
		"`rm`":             "\\`rm\\`",
		"<img src=x>":      "&lt;img src=x&gt;",
		"&lt;":             "&amp;lt;",
		"[a](http://b)":    `\[a\](http\://b)`,
		"$x$ ~y~ #1 !":     `\$x\$ \~y\~ \#1 \!`,
		`back\slash`:       `back\\slash`,
		"line\n| new cell": `line \| new cell`,
	} {
		if got := EscapeMarkdown(in); got != want {
			t.Errorf("EscapeMarkdown(%q) = %q, want %q", in, got, want)
		}
	}
}
