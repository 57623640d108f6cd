package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"kqual/matrix"
	"kqual/reports"
)

// exitError ends a command with an exit code. Where err is nil there is
// nothing to say: the output has said it.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error of the user's: nothing was started.
func usage(err error) error { return &exitError{code: exitUsage, err: err} }

// report prints err, if there is something to say, and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitNoAnswer
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	var p *matrix.ParseError
	if errors.As(err, &p) {
		fmt.Fprintln(a.Err, p.Error()) // one line per problem, each with its place
		return code
	}
	a.say("kqual: %s", describe(err))
	var f *matrix.Failure
	if errors.As(err, &f) {
		a.tail(f.Log)
	}
	return code
}

// describe is an error on one line, with its hint.
func describe(err error) string {
	var f *matrix.Failure
	if !errors.As(err, &f) {
		return oneLine(err.Error())
	}
	text := strings.Replace(oneLine(err.Error()), f.Reason, describeFailure(f), 1)
	return text
}

// describeFailure is a failure on one line: reason, hint, log.
func describeFailure(f *matrix.Failure) string {
	text := oneLine(f.Reason)
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	if f.Log != "" {
		text += " (see " + f.Log + ")"
	}
	return text
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// say prints one line on standard error. What came from a guest or a file is
// made safe to print.
func (a *app) say(format string, args ...any) {
	fmt.Fprintln(a.Err, reports.Printable(fmt.Sprintf(format, args...)))
}

// tailLines and tailBytes bound what -v shows of a log.
const (
	tailLines = 12
	tailBytes = 8 << 10
)

// tail shows the end of a log, if the user wants to know more.
func (a *app) tail(path string) {
	if path == "" || !a.verbose {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	data = data[max(0, len(data)-tailBytes):]
	lines := strings.Split(strings.TrimRight(string(bytes.ToValidUTF8(data, []byte("?"))), "\r\n"), "\n")
	for _, l := range lines[max(0, len(lines)-tailLines):] {
		a.say("  | %s", strings.TrimRight(l, "\r"))
	}
}
