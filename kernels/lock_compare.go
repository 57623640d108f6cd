package kernels

import (
	"fmt"
	"slices"
)

// Change is a kernel that is not what a lock has.
type Change struct {
	Kernel string `json:"kernel"`
	Kind   string `json:"kind"`          // new, gone or changed
	Old    string `json:"old,omitempty"` // version in the lock
	New    string `json:"new,omitempty"` // version now
	What   string `json:"what,omitempty"`
}

// The kinds of a Change.
const (
	ChangeNew     = "new"
	ChangeGone    = "gone"
	ChangeChanged = "changed"
)

// Compare lists what differs between a lock and the kernels that were resolved
// now, in the order of now, what is gone last.
func (l *Lock) Compare(now *Lock) []Change {
	was := map[string]*LockedKernel{}
	for i := range l.Kernels {
		was[l.Kernels[i].Name] = &l.Kernels[i]
	}
	var out []Change
	for i := range now.Kernels {
		k := &now.Kernels[i]
		old, ok := was[k.Name]
		delete(was, k.Name)
		if !ok {
			out = append(out, Change{Kernel: k.Name, Kind: ChangeNew, New: k.Version})
		} else if what := old.differs(k); what != "" {
			c := Change{Kernel: k.Name, Kind: ChangeChanged, Old: old.Version, New: k.Version, What: what}
			if c.New == "" { // only the image would tell
				c.New = c.Old
			}
			out = append(out, c)
		}
	}
	for _, k := range l.Kernels {
		if was[k.Name] != nil {
			out = append(out, Change{Kernel: k.Name, Kind: ChangeGone, Old: k.Version})
		}
	}
	sameName := func(a, b LockedKernel) bool { return a.Name == b.Name }
	if len(out) == 0 && !slices.EqualFunc(l.Kernels, now.Kernels, sameName) {
		out = append(out, Change{Kernel: "*", Kind: ChangeChanged, What: "the order of the entries"})
	}
	return out
}

// differs says in what a kernel is another one now, or "". What only its image
// tells counts where it is known.
func (k *LockedKernel) differs(now *LockedKernel) string {
	both := func(a, b string) bool { return a != "" && b != "" && a != b }
	switch {
	case k.Source != now.Source || k.Entry != now.Entry:
		return fmt.Sprintf("%s instead of %s", now.Source, k.Source)
	case both(k.Version, now.Version):
		return "another version"
	case k.Suite != now.Suite || !slices.EqualFunc(k.Files, now.Files, func(a, b PinnedFile) bool { return a.SHA256 == b.SHA256 }):
		return "other files"
	case k.Digest != now.Digest:
		return "another image: " + now.Digest
	case both(k.Sum, now.Sum):
		return "another hash of the module"
	case (k.Build == nil) != (now.Build == nil):
		return "another source"
	case k.Build != nil && k.Build.Compiler != now.Build.Compiler:
		return "another compiler: " + now.Build.Compiler
	case k.Build != nil && k.Build.Source != now.Build.Source:
		return "another state of the source"
	case k.Build != nil && k.Build.Recipe != now.Build.Recipe:
		return "other config fragments or patches"
	case both(k.Image, now.Image):
		return "another image"
	case k.Hash != now.Hash:
		return "the entry says something else"
	}
	return ""
}
