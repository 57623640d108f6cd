package matrix

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// at is a value and the line it was read from.
type at[T any] struct {
	Value T
	Line  int
	Set   bool
}

func (a *at[T]) DecodeStrict(node *yaml.Node, path string) Problems {
	a.Line = node.Line
	ps := DecodeStrict(node, path, &a.Value)
	a.Set = len(ps) == 0
	return ps
}

func (a at[T]) empty() bool {
	switch v := any(a.Value).(type) {
	case string:
		return v == ""
	}
	return false
}

func (a *at[T]) want() string { return wantOf(&a.Value) }

// percentage is a share written as 0.1% or 0.001.
type percentage float64

func (*percentage) want() string { return "a share such as 0.1% or 0.001" }

func (p *percentage) DecodeStrict(node *yaml.Node, path string) Problems {
	if isText(node) {
		if f, err := parsePercentage(node.Value); err == nil {
			*p = percentage(f)
			return nil
		}
	}
	return wrongType(node, path, p.want())
}

func parsePercentage(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no share", s)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is no share", s)
	}
	if percent {
		f /= 100
	}
	return f, nil
}

// bytesize is a size in bytes, written as 512MiB, 1GiB or a number of bytes.
type bytesize int64

func (*bytesize) want() string { return "a size such as 512MiB, 1GiB or a number of bytes" }

func (b *bytesize) DecodeStrict(node *yaml.Node, path string) Problems {
	if isText(node) {
		if n, err := ParseSize(node.Value); err == nil {
			*b = bytesize(n)
			return nil
		}
	}
	return wrongType(node, path, b.want())
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// ParseSize reads a size in bytes, written as 512MiB, 1GiB or a number of bytes.
func ParseSize(s string) (int64, error) {
	unit := int64(1)
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(number), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > math.MaxInt64/unit {
		return 0, errors.New("out of range")
	}
	return n * unit, nil
}

// pressure is the number of extra groups or auto.
type pressure int

func (*pressure) want() string { return "auto or a whole number of extra groups, 0 to 1000" }

func (p *pressure) DecodeStrict(node *yaml.Node, path string) Problems {
	if isText(node) {
		if node.Value == "auto" {
			*p = PressureAuto
			return nil
		}
		if n, err := strconv.Atoi(node.Value); err == nil && n >= 0 && n <= maxPressure {
			*p = pressure(n)
			return nil
		}
	}
	return wrongType(node, path, p.want())
}

// texts is one text or a list of texts.
type texts []string

func (*texts) want() string { return "text or a list of texts" }

func (t *texts) DecodeStrict(node *yaml.Node, path string) Problems {
	if isText(node) {
		*t = texts{node.Value}
	} else {
		var list []string
		if node.Kind != yaml.SequenceNode {
			return wrongType(node, path, t.want())
		}
		if ps := DecodeStrict(node, path, &list); len(ps) > 0 {
			return ps
		}
		*t = list
	}
	if len(*t) == 0 {
		return Problems{{Line: node.Line, Path: path, What: "is an empty list; name at least one or remove the key"}}
	}
	for i, s := range *t {
		if s == "" {
			return Problems{{Line: node.Line, Path: index(path, i), What: "is an empty text; write * to match everything"}}
		}
	}
	return nil
}

func wrongType(node *yaml.Node, path, want string) Problems {
	return Problems{{Line: node.Line, Path: path, What: fmt.Sprintf("is %s; write %s", describeNode(node), want)}}
}

// AgeText is an age as people say it, in one unit: 40 s, 5 min, 3 h, 2.5 days,
// 12 days.
func AgeText(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	case d < 10*24*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
