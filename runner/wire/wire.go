// Package wire is what host and guest say to each other: the plan that the
// host puts into the initramfs, and the records that the guest writes to a
// serial port of its own.
//
// A record is one line: "kqual1 SEQ CRC JSON\n", SEQ counting from 0 and CRC
// the IEEE CRC-32 of the JSON in hex. A stream is complete only when its last
// record is Done. The reader treats every byte as hostile: lines are bounded,
// and whatever is not a well-formed record in sequence is an error.
package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"

	"kqual/matrix"
)

// Version of the records; it is part of the magic word of every line.
const Version = 1

// Go is what the host sends when a guest that has said hello may go on: until
// then other machines race.
const Go = "\n"

// MaxLine is the longest record that is read, in bytes.
const MaxLine = 256 << 10

// PlanPath is where the guest finds its plan in the initramfs.
const PlanPath = "/kqual-plan.json"

var magic = "kqual" + strconv.Itoa(Version)

// Plan is what one boot has to do.
type Plan struct {
	Version     int             `json:"version"`
	Kernel      string          `json:"kernel"`  // name in the matrix
	Channel     string          `json:"channel"` // path of the serial port for the records
	Sampling    matrix.Sampling `json:"sampling"`
	Modules     []string        `json:"modules,omitempty"` // paths in the initramfs, in the order of loading
	Filesystems []Filesystem    `json:"filesystems"`
	Cells       []matrix.Cell   `json:"cells"`
	Seed        uint64          `json:"seed"`  // of the choice of groups per block
	Probe       bool            `json:"probe"` // say hello and power off
	Cost        *CostPlan       `json:"cost,omitempty"`
}

// Filesystem is a place to mount in the guest.
type Filesystem struct {
	Name   string `json:"name"`
	Device string `json:"device,omitempty"` // /dev/vda; empty for those without a disk
}

// Hello is the first record of a boot.
type Hello struct {
	Release     string `json:"release"` // uname -r
	Version     string `json:"version"` // uname -v
	CPUs        int    `json:"cpus"`
	Clocksource string `json:"clocksource"`
	Uptime      int64  `json:"uptime_ns"` // CLOCK_BOOTTIME
}

// Cell is one cell's outcome.
type Cell struct {
	Index   int            `json:"index"` // in Plan.Cells
	Outcome matrix.Outcome `json:"outcome"`
}

// Beat is how far the cell that runs has come.
type Beat struct {
	Trials int `json:"trials"`
	Stale  int `json:"stale"`
}

// Record is one line on the channel; exactly one field beside Seq is set.
type Record struct {
	Seq     int             `json:"-"`
	Hello   *Hello          `json:"hello,omitempty"`
	Note    string          `json:"note,omitempty"`  // something for the log
	Begin   *int            `json:"begin,omitempty"` // index of the cell that starts now
	Witness *matrix.Witness `json:"witness,omitempty"`
	Beat    *Beat           `json:"beat,omitempty"` // the cell that runs is alive
	Cell    *Cell           `json:"cell,omitempty"`
	Cost    *Cost           `json:"cost,omitempty"`
	Done    *Done           `json:"done,omitempty"`
}

// Done ends the stream.
type Done struct {
	Elapsed time.Duration `json:"elapsed"` // from hello
}

// ErrIncomplete is returned when a stream ends without a done record.
var ErrIncomplete = errors.New("channel ended without a done record")

// Writer writes records.
type Writer struct {
	w   io.Writer
	seq int
}

// NewWriter returns a Writer whose first record has sequence number 0.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write appends one record with a single call of the underlying Write.
func (w *Writer) Write(r Record) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if len(body) > MaxLine-64 {
		return fmt.Errorf("encode record: %d bytes exceed the limit of %d", len(body), MaxLine-64)
	}
	line := fmt.Appendf(nil, "%s %d %08x %s\n", magic, w.seq, crc32.ChecksumIEEE(body), body)
	w.seq++
	_, err = w.w.Write(line)
	return err
}

// Reader reads records.
type Reader struct {
	s    *bufio.Scanner
	seq  int
	done bool
}

// NewReader returns a Reader that expects the stream's first record.
func NewReader(r io.Reader) *Reader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), MaxLine)
	s.Split(wholeLines)
	return &Reader{s: s}
}

// wholeLines is bufio.ScanLines without what follows the last newline: half a
// record is what a machine leaves that ends while it writes.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if bytes.IndexByte(data, '\n') < 0 && atEOF {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// Read returns the next record. It returns io.EOF after the done record,
// ErrIncomplete where the stream ends before it, and an error that says what
// was found where a line is not the next record.
func (r *Reader) Read() (Record, error) {
	if r.done {
		return Record{}, io.EOF
	}
	if !r.s.Scan() {
		if err := r.s.Err(); err != nil {
			return Record{}, fmt.Errorf("read record %d: %w", r.seq, err)
		}
		return Record{}, ErrIncomplete
	}
	rec, err := parse(r.s.Bytes())
	if err != nil {
		return Record{}, fmt.Errorf("read record %d: %w", r.seq, err)
	}
	if rec.Seq != r.seq {
		return Record{}, fmt.Errorf("read record %d: got number %d", r.seq, rec.Seq)
	}
	r.seq++
	r.done = rec.Done != nil
	return rec, nil
}

func parse(line []byte) (Record, error) {
	fields := bytes.SplitN(bytes.TrimRight(line, "\r"), []byte(" "), 4)
	if len(fields) != 4 {
		return Record{}, fmt.Errorf("not a record: %.60q", line)
	}
	if string(fields[0]) != magic {
		return Record{}, fmt.Errorf("not a record of version %d: %.60q", Version, line)
	}
	seq, err := strconv.Atoi(string(fields[1]))
	if err != nil || seq < 0 {
		return Record{}, fmt.Errorf("bad sequence number %.20q", fields[1])
	}
	sum, err := strconv.ParseUint(string(fields[2]), 16, 32)
	if err != nil {
		return Record{}, fmt.Errorf("bad checksum %.20q", fields[2])
	}
	if got := crc32.ChecksumIEEE(fields[3]); got != uint32(sum) {
		return Record{}, fmt.Errorf("checksum %08x does not match %08x", got, sum)
	}
	rec := Record{Seq: seq}
	d := json.NewDecoder(bytes.NewReader(fields[3]))
	d.DisallowUnknownFields()
	if err := d.Decode(&rec); err != nil {
		return Record{}, fmt.Errorf("decode: %w", err)
	}
	return rec, nil
}
