package matrix

import (
	"cmp"
	"time"
)

// PressureAuto lets the guest raise the number of extra groups until most
// trials are decisive.
const PressureAuto = -1

// Spec is one parsed and validated matrix file.
type Spec struct {
	Path        string   // as the user named it, for messages
	Hash        string   // sha256 of the file's bytes, hex
	Version     int      // schema version, 1
	Name        string   // a short title for reports
	Machine     Machine  // the default for every kernel
	Sampling    Sampling // how much evidence a cell collects
	Kernels     []Kernel
	Filesystems []string // names in Catalog.Filesystems
	Scenarios   []string // names in Catalog.Scenarios
	Watches     []Watch
	Controls    []Rule // cells whose answer is known; see CheckControls
	Expect      []Rule // first match wins
	Waive       []Waiver
	Costs       *CostPlan // nil where none are asked for
}

// Machine is the virtual machine that a kernel boots in.
type Machine struct {
	VCPUs  int    `json:"vcpus"`
	Memory int64  `json:"memory"` // bytes
	Accel  string `json:"accel"`  // auto, kvm or tcg
	// CPU is a model of QEMU's, as in "qemu64" or "Nehalem,+pcid"; empty for
	// the accelerator's own.
	CPU string `json:"cpu,omitempty"`
	// Arch is the architecture that the kernel is for, as Debian and Go call it:
	// amd64, arm64. Empty in results from before there was a second one: amd64.
	Arch string `json:"arch,omitempty"`
}

// Architecture is Arch, whatever the results are from.
func (m Machine) Architecture() string { return cmp.Or(m.Arch, DefaultArch) }

// Sampling says how much evidence a cell collects before it stops.
type Sampling struct {
	Pressure       int           `json:"pressure"`        // extra groups that watch along; PressureAuto
	DetectionLimit float64       `json:"detection_limit"` // rate that a clean verdict must rule out, in (0, 1)
	Confidence     float64       `json:"confidence"`      // of every interval and limit, in (0.5, 1)
	MaxTime        time.Duration `json:"max_time"`        // guest time for one cell's trials
}

// Kernel is one row of the matrix, before anything is fetched.
type Kernel struct {
	Name    string
	Machine Machine // the matrix's machine with the kernel's own settings over it
	Source  string  // the registered kind: debian, file, build
	Config  any     // what the kind's decoder made of its YAML node
	Line    int     // in the matrix file
	// Allowances are lines that its log may have.
	Allowances []Allowance
	Pin        any // what a lock has of it, for package kernels; nil without a lock
}

// Watch is a named set of the kernel's own flags plus the check that the
// reader makes before it trusts what it opened.
type Watch struct {
	Name   string              `json:"name"`
	Source string              `json:"source"` // inotify or fanotify
	Flags  map[string][]string `json:"flags"`  // flag group (mask; fanotify also init, mark) → names as the kernel spells them
	Check  string              `json:"check"`  // open where the reader makes none
	// UID is the user that the reader and all groups run as; 0 is root.
	UID int `json:"uid,omitempty"`
	// Bystander is one further group beside the reader's; nil where there is none.
	Bystander *Bystander `json:"bystander,omitempty"`
	Control   bool       `json:"control,omitempty"` // the plain watch, added because the selection left it out
}

// Cell is the smallest thing that gets a verdict.
type Cell struct {
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"`
	Scenario   string `json:"scenario"`
	Watch      Watch  `json:"watch"`
}

// ID names the cell uniquely within a matrix: kernel/filesystem/scenario/watch.
func (c Cell) ID() string {
	return c.Kernel + "/" + c.Filesystem + "/" + c.Scenario + "/" + c.Watch.Name
}

// Rule is an expectation: cells that match all of its patterns should get one
// of its verdicts. An empty pattern list matches everything.
type Rule struct {
	Kernel     []string // glob patterns
	Filesystem []string
	Scenario   []string
	Watch      []string
	Verdict    []VerdictKind // any of these meets the expectation
	Why        string
	Line       int // in the matrix file
}
