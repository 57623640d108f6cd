package matrix

import (
	"slices"
	"time"
)

// Side is whose fault a failure is.
type Side string

// The sides of a Failure.
const (
	SideHost   Side = "host"   // this machine: a missing program, no space, QEMU would not start
	SideKernel Side = "kernel" // the kernel could not be had: no package, bad signature, build failed
	SideBoot   Side = "boot"   // the kernel did not come up: no output, panic, deadline
	SideGuest  Side = "guest"  // the kernel came up and the guest did not finish: panic, hang, lost channel
)

// Failure says why there is no answer.
type Failure struct {
	Side   Side   `json:"side"`
	Reason string `json:"reason"`         // one line
	Log    string `json:"log,omitempty"`  // path of the log that shows it
	Hint   string `json:"hint,omitempty"` // what to do next
	// Transient failures may be the host's bad luck: the same again can succeed.
	Transient bool `json:"transient,omitempty"`
}

func (f *Failure) Error() string { return f.Reason }

// Provenance is where a kernel came from, complete enough to get it again.
type Provenance struct {
	Source  string            `json:"source"`            // debian, file, build
	Version string            `json:"version,omitempty"` // of the package or source, for ordering: 6.1.174-1
	Arch    string            `json:"arch,omitempty"`
	SHA256  string            `json:"sha256,omitempty"` // of the image that boots
	Details map[string]string `json:"details,omitempty"`
	Config  map[string]string `json:"config,omitempty"`  // kernel options that matter to the outcome
	Patches []Patch           `json:"patches,omitempty"` // of a build, in the order of application
}

// Patch is a patch that a kernel was built with, and its size.
type Patch struct {
	Name    string `json:"name"`
	Files   int    `json:"files"`
	Added   int    `json:"added"` // lines
	Removed int    `json:"removed"`
	Base    bool   `json:"base,omitempty"` // it is of what the others go on top of
}

// DetailUnverified is the key in Provenance.Details under which a source says
// that nothing vouches for what it got, and why.
const DetailUnverified = "unverified"

// Unverified says why nothing vouches for the kernel; empty where something
// does.
func (p Provenance) Unverified() string { return p.Details[DetailUnverified] }

// Boot is one start of a kernel's virtual machine.
type Boot struct {
	Accel       string        `json:"accel"` // kvm or tcg
	QEMU        string        `json:"qemu"`  // version
	Release     string        `json:"release,omitempty"`
	Clocksource string        `json:"clocksource,omitempty"`
	CPUModel    string        `json:"cpu_model,omitempty"`   // of QEMU's
	CPUs        int           `json:"cpus,omitempty"`        // online in the guest
	Image       string        `json:"image,omitempty"`       // vmlinux or vmlinuz: which one was booted
	FirstRecord time.Duration `json:"first_record"`          // QEMU start to the guest's first record
	Total       time.Duration `json:"total"`                 // QEMU start to its end
	Held        time.Duration `json:"held,omitempty"`        // how long the guest waited for its CPUs after that
	Cells       time.Duration `json:"cells"`                 // from there to the last record
	ConsoleLog  string        `json:"console_log,omitempty"` // path
	End         string        `json:"end"`                   // done; boot, guest, host: whose fault the end was; or one of the following
	Why         string        `json:"why,omitempty"`         // it ended, where it is not done
}

// Ends of boots that kqual has not seen the end of.
const (
	BootRuns  = "running" // it goes on
	BootCut   = "cut off" // kqual was ended while it went on
	bootCutBy = "kqual ended while it ran"
)

// CutOff are boots of a run that nobody is at any more.
func CutOff(boots []Boot) []Boot {
	out := slices.Clone(boots)
	for i := range out {
		if out[i].End == BootRuns {
			out[i].End, out[i].Why = BootCut, bootCutBy
		}
	}
	return out
}

// Splat is a line of a kernel's log that tells of trouble.
type Splat struct {
	Kind string `json:"kind"` // panic, oops, BUG, WARNING, UBSAN, clock, hung task, lockup, RCU stall, OOM, …
	Line string `json:"line"` // as the kernel wrote it, without its time stamp
	// Allowed is why the matrix lets the line be there; empty where it does not.
	Allowed string `json:"allowed,omitempty"`
}

// CellRun is one cell's answer: an outcome or the reason for having none.
type CellRun struct {
	Cell    Cell     `json:"cell"`
	Outcome *Outcome `json:"outcome,omitempty"`
	Error   *Failure `json:"error,omitempty"`
	// Boot is the index in KernelRun.Boots of the boot that gave the outcome.
	Boot int `json:"boot,omitempty"`
	// Splats are the signs of trouble in the kernel's log while the cell ran.
	Splats []Splat `json:"splats,omitempty"`
	// Ended are the failures of the boots that ended while this cell ran.
	Ended []Failure `json:"ended,omitempty"`
	// Evidence is where the outcome is from, if not from this run.
	Evidence *Evidence `json:"evidence,omitempty"`
}

// Answered says whether the cell is through, with an outcome or without.
func (c *CellRun) Answered() bool { return c.Outcome != nil || c.Error != nil }

// Evidence names the run that measured a cell whose outcome is still good.
type Evidence struct {
	Run      string    `json:"run"`
	Measured time.Time `json:"measured"` // when that run began
}

// KernelRun is everything that a run learned about one kernel.
type KernelRun struct {
	Kernel     string        `json:"kernel"` // name in the matrix
	Index      int           `json:"index"`  // position in the matrix
	Machine    Machine       `json:"machine"`
	Provenance Provenance    `json:"provenance"`
	Fetch      time.Duration `json:"fetch"` // getting the image
	Boots      []Boot        `json:"boots,omitempty"`
	Witnesses  []Witness     `json:"witnesses,omitempty"`
	Cells      []CellRun     `json:"cells"`
	// Repeats are plain watches that were measured again, after a boot had ended
	// early: what is compared with them ran in the same boot.
	Repeats []CellRun `json:"repeats,omitempty"`
	// Costs are the boots that measured what unlink(2) costs.
	Costs []CostBoot `json:"costs,omitempty"`
	Error *Failure   `json:"error,omitempty"` // why the rest of the cells has no answer
}
