package reports

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

// Printable makes text that came from elsewhere (names, console lines) safe to
// print on one line: what does not print is shown as Go would quote it, so no
// escape sequence and no change of direction reaches a terminal.
func Printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == unicode.ReplacementChar && s[i] != "\uFFFD"[0]:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

// width is the number of terminal columns that s takes.
func width(s string) int { return twwidth.Width(s) }

// unit is a part of a text that stays on one line where there is room: words
// that belong together. A word is never broken.
type unit []string

func (u unit) String() string { return strings.Join(u, "") }

// verdictUnits splits a verdict: numbers stay with their %, and the bracketed
// part is a unit of its own.
func verdictUnits(text string) []unit {
	var units []unit
	for i, w := range strings.Split(text, " ") {
		switch {
		case i == 0:
			units = append(units, unit{w})
		case w == "" || w[0] == '[' || w[0] == '(':
			units = append(units, unit{w})
		case strings.HasPrefix(w, "%"):
			last := units[len(units)-1]
			last[len(last)-1] += " " + w
		default:
			last := units[len(units)-1]
			units[len(units)-1] = append(last, " "+w)
		}
	}
	return units
}

// nameUnits splits a name: a unit begins at + and spaces, a word also ends
// after - _ . and colons.
func nameUnits(name string) []unit {
	var units []unit
	word := ""
	var words unit
	endWord := func() {
		if word != "" {
			words = append(words, word)
		}
		word = ""
	}
	endUnit := func() {
		endWord()
		if len(words) > 0 {
			units = append(units, words)
		}
		words = nil
	}
	for _, r := range name {
		if r == '+' || r == ' ' {
			endUnit()
		}
		if r != ' ' || word != "" || len(words) > 0 {
			word += string(r)
		} else {
			word = " " // kept, so that the name reads the same on one line
		}
		if strings.ContainsRune("-_.:,", r) {
			endWord()
		}
	}
	endUnit()
	return units
}

// wrap lays units out in lines of at most w columns; a word that is wider gets
// a line of its own.
func wrap(units []unit, w int, sep string) []string {
	var lines []string
	cur := ""
	put := func(s, glue string) {
		bare := strings.TrimPrefix(s, " ")
		switch {
		case cur == "":
			cur = bare
		case width(cur+glue+s) <= w:
			cur += glue + s
		default:
			lines = append(lines, cur)
			cur = bare
		}
	}
	for _, u := range units {
		whole := u.String()
		if width(strings.TrimPrefix(whole, " ")) <= w {
			put(whole, sep)
			continue
		}
		for i, word := range u {
			if i == 0 {
				put(word, sep)
			} else {
				put(word, "")
			}
		}
	}
	return append(lines, cur)
}

// Fill wraps a paragraph at width columns; the first line begins with first,
// the others with as many spaces.
func Fill(text, first string, columns int) string {
	indent := strings.Repeat(" ", width(first))
	var b strings.Builder
	line := first
	empty := true
	for _, word := range words(text) {
		if !empty && width(line)+1+width(word) > columns {
			b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}

// words splits a text at spaces, but not before a percent sign.
func words(text string) []string {
	var out []string
	for w := range strings.FieldsSeq(text) {
		if strings.HasPrefix(w, "%") && len(out) > 0 {
			out[len(out)-1] += " " + w
		} else {
			out = append(out, w)
		}
	}
	return out
}

// seconds shows a duration with a tenth of a second, or in milliseconds below
// one tenth: 12.3 s, 48 ms. Longer ones are 3 min 20 s.
func seconds(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs == 0:
		return "0 s"
	case abs < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case abs < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}
