package reports

import "bufio"

// lineBreaker passes compact JSON on and gives the members of objects and lists
// down to a depth a line each, indented by how deep they are.
type lineBreaker struct {
	w     *bufio.Writer // keeps its first error for Flush
	depth int           // of the innermost object or list that is broken

	level   int  // of nesting; 1 is inside the outermost object
	fresh   bool // the last byte opened an object or a list
	text    bool // inside a string
	escaped bool // after a backslash
}

// Write returns no error; the buffer's Flush does.
func (l *lineBreaker) Write(data []byte) (int, error) {
	from := 0 // what comes before has been passed on
	pass := func(to int) {
		_, _ = l.w.Write(data[from:to])
		from = to
	}
	newLine := func(at int) {
		pass(at)
		_ = l.w.WriteByte('\n')
		for range l.level {
			_, _ = l.w.WriteString("  ")
		}
	}
	for i, c := range data {
		if l.text {
			switch {
			case l.escaped:
				l.escaped = false
			case c == '\\':
				l.escaped = true
			case c == '"':
				l.text = false
			}
			continue
		}
		fresh, broken := l.fresh, l.level <= l.depth
		l.fresh = false
		if fresh && broken && c != '}' && c != ']' {
			newLine(i)
		}
		switch c {
		case '"':
			l.text = true
		case '{', '[':
			l.level++
			l.fresh = true
		case '}', ']':
			l.level--
			if broken && !fresh {
				newLine(i)
			}
		case ',':
			if broken {
				newLine(i + 1)
			}
		case ':':
			if broken {
				pass(i + 1)
				_ = l.w.WriteByte(' ')
			}
		}
	}
	pass(len(data))
	return len(data), nil
}
