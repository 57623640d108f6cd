package matrix

import (
	"fmt"
	"strings"
)

// Allowance says that a line in a kernel's log is known and why it may be
// there. It changes no verdict: the footnote about the line carries the reason.
type Allowance struct {
	Log string `json:"log"` // a glob over the whole line, without its time stamp
	Why string `json:"why"`
}

type fileAllowance struct {
	Log at[string] `yaml:"log" kqual:"required"`
	Why at[string] `yaml:"why" kqual:"required"`
}

func (p *parser) allowances(list []fileAllowance, path string) []Allowance {
	var out []Allowance
	for i, a := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if a.Log.Set && strings.Trim(a.Log.Value, "*? ") == "" {
			p.problem(a.Log.Line, at+".log", "%q would allow every line; write part of the line, as in *fs/notify/*", a.Log.Value)
		}
		if a.Why.Set && strings.TrimSpace(a.Why.Value) == "" {
			p.problem(a.Why.Line, at+".why", "is empty; say why the line may be there")
		}
		out = append(out, Allowance{Log: a.Log.Value, Why: a.Why.Value})
	}
	return out
}

// Allow notes on a splat why it may be there, if the kernel's matrix entry says
// so; the first allowance that fits speaks.
func (k Kernel) Allow(s Splat) Splat {
	for _, a := range k.Allowances {
		if matchGlob(a.Log, s.Line) {
			s.Allowed = a.Why
			return s
		}
	}
	return s
}
