package matrix

import "time"

// Status says whether the guest could measure a cell.
type Status string

// The statuses of an Outcome.
const (
	Measured    Status = "measured"    // trials ran; the counts say what was seen
	Unsupported Status = "unsupported" // the kernel refused; Refusal says what
	Failed      Status = "failed"      // the guest could not do its part; Failure says why
)

// Refusal is a system call that the kernel refused.
type Refusal struct {
	Syscall string `json:"syscall"`        // fanotify_mark
	Flag    string `json:"flag,omitempty"` // the flag or object that was refused
	Errno   string `json:"errno"`          // ENODEV
}

// Counts are what trials add up to. Every field counts trials.
type Counts struct {
	Trials    int `json:"trials"`    // one create–delete–event–open each
	Contested int `json:"contested"` // the reader's first action began before the delete call returned
	Decisive  int `json:"decisive"`  // contested, and the sentinel group had not been told yet
	// Stale counts opens that found the dead file, its content verified,
	// decisive or not; StaleDecisive those of decisive trials.
	Stale         int `json:"stale"`
	StaleDecisive int `json:"stale_decisive,omitempty"`
	// Recognised counts stale opens that the check told to be stale.
	Recognised         int `json:"recognised,omitempty"`
	RecognisedDecisive int `json:"recognised_decisive,omitempty"`
	Lost               int `json:"lost,omitempty"`       // the event never came
	Duplicates         int `json:"duplicates,omitempty"` // further events for a name already reported
	Overflows          int `json:"overflows,omitempty"`  // queue overflow events; such a trial counts nowhere else
	Foreign            int `json:"foreign,omitempty"`    // the open succeeded on something else than the victim
	FalseAlarms        int `json:"false_alarms,omitempty"`
}

// Add adds o to c, field by field.
func (c *Counts) Add(o Counts) {
	c.Trials += o.Trials
	c.Contested += o.Contested
	c.Decisive += o.Decisive
	c.Stale += o.Stale
	c.StaleDecisive += o.StaleDecisive
	c.Recognised += o.Recognised
	c.RecognisedDecisive += o.RecognisedDecisive
	c.Lost += o.Lost
	c.Duplicates += o.Duplicates
	c.Overflows += o.Overflows
	c.Foreign += o.Foreign
	c.FalseAlarms += o.FalseAlarms
}

// Unnoticed is the number of stale opens that the check did not recognise.
func (c Counts) Unnoticed() int { return c.Stale - c.Recognised }

// UnnoticedDecisive is Unnoticed among the decisive trials.
func (c Counts) UnnoticedDecisive() int { return c.StaleDecisive - c.RecognisedDecisive }

// Block is a run of trials with its own directory and its own choice of
// groups; trials cluster in time, so a cell is spread over several blocks.
type Block struct {
	Counts
	Groups   int           `json:"groups"`   // that watched, the reader included
	Sentinel int           `json:"sentinel"` // rank of the sentinel in the order of telling, 0 is the reader
	Setup    time.Duration `json:"setup"`
	Elapsed  time.Duration `json:"elapsed"` // of the trials
	Slowest  time.Duration `json:"slowest"` // trial
}

// Outcome is what a guest reports for one cell.
type Outcome struct {
	Status     Status        `json:"status"`
	Refusal    *Refusal      `json:"refusal,omitempty"`
	Failure    string        `json:"failure,omitempty"`
	Counts     Counts        `json:"counts"`
	Blocks     []Block       `json:"blocks,omitempty"`
	Stop       StopReason    `json:"stop,omitempty"`
	Setup      time.Duration `json:"setup"`                 // making and ordering groups, placing marks
	Elapsed    time.Duration `json:"elapsed"`               // trials only
	FirstStale time.Duration `json:"first_stale,omitempty"` // from the first trial; 0 where none was stale
	// KernelLog has the first lines that the kernel logged meanwhile, warnings
	// and worse.
	KernelLog []string `json:"kernel_log,omitempty"`
}

// Order is the order in which the order witness saw its two events.
type Order string

// The orders of a Witness.
const (
	Early         Order = "early"          // IN_DELETE before IN_DELETE_SELF: affected kernels, dropped dentries
	Late          Order = "late"           // IN_DELETE_SELF first: the name was dead when IN_DELETE was queued
	NotApplicable Order = "not applicable" // the witness cannot speak here, as on overlayfs
	NoOrder       Order = "unknown"        // one of the two events never came
)

// Witness is the deterministic order witness of one filesystem: one inotify
// group watches a directory (IN_DELETE) and a victim of its own in it
// (IN_ATTRIB | IN_DELETE_SELF), and reads the order of the events that its
// removal sends. Source: fs/namei.c vfs_unlink before and after a37d9a17f099.
type Witness struct {
	Filesystem string   `json:"filesystem"`
	Kind       string   `json:"kind"` // unlink or rmdir
	Order      Order    `json:"order"`
	Events     []string `json:"events,omitempty"` // as read: ATTRIB DELETE_SELF IGNORED DELETE
	Reason     string   `json:"reason,omitempty"`
}
