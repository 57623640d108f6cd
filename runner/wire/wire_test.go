package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

func stream(t testing.TB, records ...Record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf)
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func sample() []Record {
	begin := 0
	return []Record{
		{Hello: &Hello{Release: "5.10.223", CPUs: 2, Clocksource: "tsc"}},
		{Witness: &matrix.Witness{Filesystem: "tmpfs", Kind: "unlink", Order: matrix.Early, Events: []string{"DELETE", "DELETE_SELF"}}},
		{Begin: &begin},
		{Beat: &Beat{Trials: 4, Stale: 1}},
		{Cell: &Cell{Outcome: matrix.Outcome{Status: matrix.Measured, Counts: matrix.Counts{Trials: 9, Stale: 9}}}},
		{Done: &Done{Elapsed: 1}},
	}
}

func TestRecordsComeBackAsWritten(t *testing.T) {
	want := sample()
	r := NewReader(bytes.NewReader(stream(t, want...)))
	for i := range want {
		want[i].Seq = i
		got, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[i], got); d != "" {
			t.Errorf("record %d: %s", i, d)
		}
	}
	if _, err := r.Read(); err != io.EOF {
		t.Errorf("after done: %v, want EOF", err)
	}
}

func TestAStreamWithoutDoneIsIncomplete(t *testing.T) {
	r := NewReader(bytes.NewReader(stream(t, sample()[:2]...)))
	var err error
	for err == nil {
		_, err = r.Read()
	}
	if !errors.Is(err, ErrIncomplete) {
		t.Errorf("got %v, want ErrIncomplete", err)
	}
}

// A machine that ends while it writes leaves half a record: that is no garbage.
func TestHalfARecordAtTheEndIsIncomplete(t *testing.T) {
	whole := string(stream(t, sample()[:2]...))
	for cut := 1; cut < len(whole); cut++ {
		r := NewReader(strings.NewReader(whole[:cut]))
		var err error
		for err == nil {
			_, err = r.Read()
		}
		if !errors.Is(err, ErrIncomplete) {
			t.Errorf("cut after %d bytes: got %v, want ErrIncomplete", cut, err)
		}
	}
}

func TestDamagedStreamsAreRefused(t *testing.T) {
	good := string(stream(t, sample()...))
	lines := strings.SplitAfter(good, "\n")
	tests := map[string]struct{ in, want string }{
		"flipped byte":   {strings.Replace(good, "5.10.223", "5.10.224", 1), "checksum"},
		"printk between": {"[    1.0] hello\n" + good, "not a record"},
		"other version":  {strings.Replace(good, "kqual1", "kqual2", 1), "version 1"},
		"lost record":    {lines[0] + strings.Join(lines[2:], ""), "got number 2"},
		"repeated":       {lines[0] + good, "got number 0"},
		"endless line":   {strings.Repeat("x", MaxLine+1), "too long"},
		"unknown field":  {"kqual1 0 " + "7af16d8e" + ` {"x":1}` + "\n", "checksum"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in))
			var err error
			for err == nil {
				_, err = r.Read()
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add(stream(f, sample()...))
	f.Add([]byte("kqual1 0 00000000 {}\n"))
	f.Add([]byte("\x00\xff kqual1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		for n := 0; ; n++ {
			rec, err := r.Read()
			if err != nil {
				return
			}
			if rec.Seq != n {
				t.Fatalf("record %d has number %d", n, rec.Seq)
			}
		}
	})
}
