package matrix

import "gopkg.in/yaml.v3"

// Catalog is what the parser may accept: everything that the packages further
// right have registered, handed over as data.
type Catalog struct {
	KernelSources map[string]KernelSource
	EventSources  map[string]EventSource
	Checks        map[string]Check
	Scenarios     map[string]Scenario
	Filesystems   map[string]Filesystem
	Architectures []string // that a machine can have, sorted
}

// KernelSource decodes the YAML below one kind of kernel (debian: {…}).
type KernelSource struct {
	Name string
	Doc  string // one line for users
	// Decode is strict; it returns the source's own config value, or every
	// problem it found. path is the YAML path of node, for messages.
	Decode func(node *yaml.Node, path string) (any, Problems)
	// Cost estimates what getting the kernel will take, without touching the
	// network: "download about 30 MB", "build about 4 minutes". It may be nil.
	Cost func(config any) string
}

// FlagGroup is one list of flags that a watch can set.
type FlagGroup struct {
	Key      string            // mask, init, mark
	Flags    map[string]uint64 // name → bits
	Required bool
}

// EventSource is a kernel interface that reports events: inotify, fanotify.
type EventSource struct {
	Name   string
	Doc    string
	Groups []FlagGroup // a single group may be written as a bare list
	// Validate returns what no system call could express, one line each.
	Validate func(Watch) []string
	// IsPlain says whether w has only the deciding event and no check.
	IsPlain func(w Watch) bool
	// Plain is the watch to add as a control where no plain one was selected.
	Plain func() Watch
}

// Check is what the reader does to find out whether what it opened is dead.
type Check struct {
	Name string
	Doc  string
	// Recognises is true for checks that look at what was opened (nlink,
	// target_fid): their evidence is the number of stale opens. Checks that
	// run before the open (getdents) are barriers; their evidence is the number
	// of decisive trials.
	Recognises bool
	// Validate returns why the check cannot work with w, or "".
	Validate func(w Watch) string
}

// Scenario is a way a name dies.
type Scenario struct {
	Name string
	Doc  string
	// Object is what is watched: the directory, or the file itself.
	Object Object
	// Events lists, per event source, the flags any of which a watch must have
	// in its mask to be told of the deciding event. An entry may join flags that
	// are needed together: FAN_DELETE|FAN_ONDIR.
	Events map[string][]string
	// Identity says how a stale open is told from any other: what of the dead
	// object is compared.
	Identity string
	// Natural scenarios run without extra groups and so without a sentinel: a
	// stale open is affected, a zero is a rate to show and no verdict to gate.
	Natural bool
}

// Object is what a watch watches.
type Object string

// The objects of a Scenario.
const (
	ObjectDirectory Object = "directory"
	ObjectFile      Object = "file"
)

// Filesystem is a place where names die.
type Filesystem struct {
	Name  string
	Doc   string
	Tools []Tool // host programs that make its image
	// Scenarios are the only ones that make sense here; nil stands for all.
	Scenarios []string
}

// Tool is a program that must be on the host.
type Tool struct {
	Program string // mkfs.ext4
	Package string // the Debian package that has it: e2fsprogs
}

// IsPlain says whether w is a plain watch of its event source, as every control
// is.
func (c Catalog) IsPlain(w Watch) bool {
	plain := c.EventSources[w.Source].IsPlain
	return w.Control || plain != nil && plain(w)
}
