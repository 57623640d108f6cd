package matrix

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// schemaVersion is the only version of the matrix file there is.
const schemaVersion = 1

// Defaults of a matrix file, and the bounds of what a machine can be.
const (
	DefaultVCPUs          = 2         // one is too few: the reader never gets in
	DefaultMemory         = 512 << 20 // bytes
	DefaultAccel          = "auto"
	DefaultArch           = "amd64" // on every host: a matrix means the same everywhere
	DefaultDetectionLimit = 0.001
	DefaultConfidence     = 0.95
	DefaultMaxTime        = 20 * time.Second

	maxVCPUs    = 64
	minMemory   = 64 << 20  // bytes; less does not unpack an initramfs with a 14 MB binary
	maxMemory   = 1 << 40   // bytes
	maxPressure = 1000      // extra groups; 128 is the default limit of fs.inotify.max_user_instances
	maxNeeded   = 1_000_000 // decisive trials; at 10,000 trials a second this is already minutes per cell
)

// Bounds of the file itself.
const (
	maxFile  = 1 << 20 // bytes
	maxNodes = 200_000 // values, every alias counted as what it stands for
)

// Parse reads a matrix file strictly: every kernel source, watch, check,
// scenario and filesystem must be in cat. path is only used for messages. The
// error is a *ParseError with every problem, in order of lines.
func Parse(path string, data []byte, cat Catalog) (*Spec, error) {
	p := parser{cat: cat}
	sum := sha256.Sum256(data)
	p.spec = &Spec{Path: path, Hash: hex.EncodeToString(sum[:])}
	if root := p.document(data); root != nil {
		p.root(root)
	}
	if len(p.problems) > 0 {
		p.problems.sort()
		p.problems = slices.Compact(p.problems)
		return nil, &ParseError{File: path, Problems: p.problems}
	}
	return p.spec, nil
}

type parser struct {
	decoder
	cat  Catalog
	spec *Spec
}

// document returns the only document's top mapping, or nil with a problem.
func (p *parser) document(data []byte) *yaml.Node {
	if len(data) > maxFile {
		p.problem(0, "", "the file is larger than %d bytes; a matrix is a short text", maxFile)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.problem(1, "", "the file is empty; start with version: %d", schemaVersion)
		return nil
	case err != nil:
		p.syntax(err, data)
		return nil
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		p.problem(second.Line, "", "a second document begins; put each matrix into a file of its own")
	case !errors.Is(err, io.EOF):
		p.syntax(err, data)
	}
	root := resolve(&doc)
	switch budget := maxNodes; {
	case isNull(root):
		p.problem(root.Line, "", "the file is empty; start with version: %d", schemaVersion)
	case root.Kind != yaml.MappingNode:
		p.problem(root.Line, "", "the file is %s; write a mapping that starts with version: %d", describeNode(root), schemaVersion)
	case !bounded(root, map[*yaml.Node]bool{}, &budget):
		p.problem(root.Line, "", "the aliases contain themselves or stand for more than %d values; write them out", maxNodes)
	default:
		return root
	}
	return nil
}

// bounded says whether n, with all aliases followed, is finite and within
// budget. open holds the aliases' values on the way here.
func bounded(n *yaml.Node, open map[*yaml.Node]bool, budget *int) bool {
	if *budget--; *budget < 0 {
		return false
	}
	if n.Kind == yaml.AliasNode {
		if open[n.Alias] {
			return false
		}
		open[n.Alias] = true
		defer delete(open, n.Alias)
		return bounded(n.Alias, open, budget)
	}
	for _, c := range n.Content {
		if !bounded(c, open, budget) {
			return false
		}
	}
	return true
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): (?s:(.*))$`)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax turns an error of yaml.v3 ("yaml: line 3: did not find …") into a
// problem.
func (p *parser) syntax(err error, data []byte) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		line, _ := strconv.Atoi(m[1])
		p.problem(line, "", "not valid YAML: %s", m[2])
		return
	}
	line := 1
	bad := func(r rune) bool {
		return r == utf8.RuneError || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
	}
	at := -1
	if m := yamlAnchor.FindStringSubmatch(what); m != nil {
		at = bytes.Index(data, []byte("*"+m[1]))
		what = fmt.Sprintf("alias *%s has no anchor; define &%s above it", m[1], m[1])
	} else {
		at = bytes.IndexFunc(data, bad)
	}
	if at >= 0 {
		line += bytes.Count(data[:at], []byte("\n"))
	}
	p.problem(line, "", "not valid YAML: %s", what)
}

// The shape of the file. Kernels and watches have keys that only the catalog
// knows.
type (
	fileRoot struct {
		Version     at[int]      `yaml:"version" kqual:"required"`
		Name        at[string]   `yaml:"name" kqual:"required"`
		Machine     fileMachine  `yaml:"machine"`
		Sampling    fileSampling `yaml:"sampling"`
		Kernels     []yaml.Node  `yaml:"kernels" kqual:"required"`
		Filesystems []at[string] `yaml:"filesystems" kqual:"required"`
		Scenarios   []at[string] `yaml:"scenarios" kqual:"required"`
		Watches     []yaml.Node  `yaml:"watches" kqual:"required"`
		Controls    []fileRule   `yaml:"controls"`
		Expect      []fileRule   `yaml:"expect"`
		Waive       []fileWaiver `yaml:"waive"`
		Costs       *fileCosts   `yaml:"costs"`
	}
	fileMachine struct {
		VCPUs  at[int]      `yaml:"vcpus"`
		Memory at[bytesize] `yaml:"memory"`
		Accel  at[string]   `yaml:"accel"`
		CPU    at[string]   `yaml:"cpu"`
	}
	fileSampling struct {
		Pressure       at[pressure]      `yaml:"pressure"`
		DetectionLimit at[percentage]    `yaml:"detection_limit"`
		Confidence     at[percentage]    `yaml:"confidence"`
		MaxTime        at[time.Duration] `yaml:"max_time"`
	}
	fileRuleKeys struct {
		Kernel     at[texts]  `yaml:"kernel"`
		Filesystem at[texts]  `yaml:"filesystem"`
		Scenario   at[texts]  `yaml:"scenario"`
		Watch      at[texts]  `yaml:"watch"`
		Verdict    at[texts]  `yaml:"verdict" kqual:"required"`
		Why        at[string] `yaml:"why" kqual:"required"`
	}
	fileRule struct {
		fileRuleKeys
		line int
	}
)

// DecodeStrict keeps the rule's line.
func (r *fileRule) DecodeStrict(node *yaml.Node, path string) Problems {
	r.line = node.Line
	return DecodeStrict(node, path, &r.fileRuleKeys)
}

func (*fileRule) want() string { return describeType(typeRuleKeys) }

func (p *parser) root(node *yaml.Node) {
	var f fileRoot
	p.value(node, "", reflectOf(&f))
	s := p.spec

	s.Version = f.Version.Value
	if f.Version.Set && s.Version != schemaVersion {
		p.problem(f.Version.Line, "version", "is %d; this kqual reads version %d", s.Version, schemaVersion)
	}
	s.Name = f.Name.Value
	if f.Name.Set {
		p.name(f.Name.Line, "name", f.Name.Value)
	}
	s.Machine = p.machine(f.Machine, "machine", Machine{VCPUs: DefaultVCPUs, Memory: DefaultMemory, Accel: DefaultAccel, Arch: DefaultArch})
	p.sampling(f.Sampling)

	kernelNames := names{kind: "kernel"}
	for i := range f.Kernels {
		if k, ok := p.kernel(&f.Kernels[i], index("kernels", i)); ok {
			p.unique(&kernelNames, k.Name, k.Line, index("kernels", i)+".name")
			s.Kernels = append(s.Kernels, k)
		}
	}
	s.Filesystems = p.listed("filesystem", "filesystems", f.Filesystems, slices.Collect(maps.Keys(p.cat.Filesystems)))
	s.Scenarios = p.listed("scenario", "scenarios", f.Scenarios, slices.Collect(maps.Keys(p.cat.Scenarios)))
	watchNames := names{kind: "watch"}
	for i := range f.Watches {
		if w, ok := p.watch(&f.Watches[i], index("watches", i)); ok {
			p.unique(&watchNames, w.Name, f.Watches[i].Line, index("watches", i)+".name")
			s.Watches = append(s.Watches, w)
		}
	}
	for i, r := range f.Controls {
		p.control(r, index("controls", i))
	}
	p.contradictions()
	for i, r := range f.Expect {
		s.Expect = append(s.Expect, p.rule(r, index("expect", i)))
	}
	p.waivers(f.Waive)
	p.costs(f.Costs)
}

// cpuModel is what QEMU's -cpu takes: a model and features.
var cpuModel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(,[+-]?[A-Za-z0-9][A-Za-z0-9._=-]*)*$`)

// machine lays m over base and checks that a machine could run it.
func (p *parser) machine(m fileMachine, path string, base Machine) Machine {
	if m.VCPUs.Set {
		base.VCPUs = m.VCPUs.Value
		if base.VCPUs < 1 || base.VCPUs > maxVCPUs {
			p.problem(m.VCPUs.Line, path+".vcpus", "is %d; write 1 to %d", base.VCPUs, maxVCPUs)
		}
	}
	if m.Memory.Set {
		base.Memory = int64(m.Memory.Value)
		if base.Memory < minMemory || base.Memory > maxMemory {
			p.problem(m.Memory.Line, path+".memory", "is %d bytes; write 64MiB to 1TiB, 512MiB is enough for most kernels", base.Memory)
		}
	}
	if m.Accel.Set {
		base.Accel = m.Accel.Value
		if known := []string{"auto", "kvm", "tcg"}; !slices.Contains(known, base.Accel) {
			p.problem(m.Accel.Line, path+".accel", "%s", unknown("accelerator", base.Accel, known))
		}
	}
	if m.CPU.Set {
		base.CPU = m.CPU.Value
		if !cpuModel.MatchString(base.CPU) {
			p.problem(m.CPU.Line, path+".cpu", "is %q; write a CPU model of QEMU's, as in qemu64 or Nehalem,+pcid", base.CPU)
		}
	}
	return base
}

func (p *parser) sampling(f fileSampling) {
	s := Sampling{
		Pressure: PressureAuto, DetectionLimit: DefaultDetectionLimit,
		Confidence: DefaultConfidence, MaxTime: DefaultMaxTime,
	}
	if f.Pressure.Set {
		s.Pressure = int(f.Pressure.Value)
	}
	ok := true
	if f.DetectionLimit.Set {
		s.DetectionLimit = float64(f.DetectionLimit.Value)
		if !(s.DetectionLimit > 0 && s.DetectionLimit < 1) {
			ok = false
			p.problem(f.DetectionLimit.Line, "sampling.detection_limit", "is %g; write a share above 0 and below 1, such as 0.1%%", s.DetectionLimit)
		}
	}
	if f.Confidence.Set {
		s.Confidence = float64(f.Confidence.Value)
		if !(s.Confidence > 0.5 && s.Confidence < 1) {
			ok = false
			p.problem(f.Confidence.Line, "sampling.confidence", "is %g; write a share above 50%% and below 100%%, such as 95%%", s.Confidence)
		}
	}
	if ok && needed(s.DetectionLimit, s.Confidence) > maxNeeded {
		line := max(f.DetectionLimit.Line, f.Confidence.Line)
		p.problem(line, "sampling", "a clean cell would need %.3g decisive trials, more than %d; raise detection_limit or lower confidence",
			needed(s.DetectionLimit, s.Confidence), maxNeeded)
	}
	if f.MaxTime.Set {
		s.MaxTime = f.MaxTime.Value
		if s.MaxTime <= 0 {
			p.problem(f.MaxTime.Line, "sampling.max_time", "is %s; write a duration above 0, such as 20s", s.MaxTime)
		}
	}
	p.spec.Sampling = s
}

// kernel decodes one kernel: name, arch, machine and exactly one source.
func (p *parser) kernel(node *yaml.Node, path string) (Kernel, bool) {
	if node.Kind != yaml.MappingNode {
		p.problem(node.Line, path, "is %s; write a mapping with name and one of %s", describeNode(node), p.sourceNames())
		return Kernel{}, false
	}
	before := len(p.problems)
	k := Kernel{Line: node.Line}
	var name, arch at[string]
	var machine fileMachine
	var allow []fileAllowance
	sources := slices.Sorted(maps.Keys(p.cat.KernelSources))
	p.pairs(node, path, func(key, value *yaml.Node) {
		switch at := join(path, key.Value); {
		case key.Value == "name":
			p.value(value, at, reflectOf(&name))
		case key.Value == "arch":
			p.value(value, at, reflectOf(&arch))
		case key.Value == "machine":
			p.value(value, at, reflectOf(&machine))
		case key.Value == "allow":
			p.value(value, at, reflectOf(&allow))
			k.Allowances = p.allowances(allow, at)
		case !slices.Contains(sources, key.Value):
			p.problem(key.Line, at, "%s", unknown("key", key.Value, append([]string{"name", "arch", "machine", "allow"}, sources...)))
		case k.Source != "":
			p.problem(key.Line, at, "is a second source besides %s; keep one", k.Source)
		default:
			k.Source = key.Value
			if decode := p.cat.KernelSources[key.Value].Decode; decode != nil {
				config, problems := decode(resolve(value), at)
				k.Config = config
				p.problems = append(p.problems, problems...)
			}
		}
	})
	k.Machine = p.machine(machine, path+".machine", p.spec.Machine)
	if arch.Set {
		if arch.Value != k.Machine.Arch && !machine.CPU.Set {
			k.Machine.CPU = "" // the matrix's own is one of another architecture
		}
		k.Machine.Arch = arch.Value
		if !slices.Contains(p.cat.Architectures, arch.Value) {
			p.problem(arch.Line, path+".arch", "%s", unknown("architecture", arch.Value, p.cat.Architectures))
		}
	}
	k.Name = name.Value
	p.mustName(name, node.Line, path)
	if k.Source == "" && len(p.problems) == before {
		p.problem(node.Line, path, "has no source; add one of %s", p.sourceNames())
	}
	return k, name.Set && name.Value != ""
}

func (p *parser) sourceNames() string {
	return strings.Join(slices.Sorted(maps.Keys(p.cat.KernelSources)), ", ")
}

// mustName checks a name that may be missing altogether.
func (p *parser) mustName(name at[string], line int, path string) {
	switch {
	case name.Set:
		p.name(name.Line, path+".name", name.Value)
	case name.Line == 0: // no key; a wrong one has been reported
		p.problem(line, path, "has no name; add name")
	}
}

// maxName bounds names, in characters: they become columns and file names.
const maxName = 64

func (p *parser) name(line int, path, s string) {
	if what := nameFault(s); what != "" {
		p.problem(line, path, "%s", what)
	}
}

func nameFault(s string) string {
	notPrintable := func(r rune) bool { return !strconv.IsPrint(r) }
	switch {
	case s == "":
		return "is empty; give a name"
	case utf8.RuneCountInString(s) > maxName:
		return fmt.Sprintf("has %d characters; use at most %d", utf8.RuneCountInString(s), maxName)
	case strings.Contains(s, "/"):
		return fmt.Sprintf("%q contains a slash; names become parts of paths, use another character", s)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, notPrintable):
		return fmt.Sprintf("%q contains a character that does not print; remove it", s)
	case strings.TrimSpace(s) != s:
		return fmt.Sprintf("%q begins or ends with a space; remove it", s)
	case s == "." || s == "..":
		return fmt.Sprintf("%q cannot be a file name; use another name", s)
	}
	return ""
}

// names remembers the line of every name of a kind.
type names struct {
	kind string
	line map[string]int
}

func (p *parser) unique(n *names, name string, line int, path string) {
	if n.line == nil {
		n.line = map[string]int{}
	}
	if first, ok := n.line[name]; ok {
		p.problem(line, path, "duplicate %s %q, first on line %d; rename or remove one", n.kind, shorten(name), first)
		return
	}
	n.line[name] = line
}

// listed checks a list of registered names.
func (p *parser) listed(kind, path string, list []at[string], known []string) []string {
	var out []string
	seen := names{kind: kind}
	for i, e := range list {
		if !e.Set {
			continue
		}
		at := index(path, i)
		if !slices.Contains(known, e.Value) {
			p.problem(e.Line, at, "%s", unknown(kind, e.Value, known))
		}
		p.unique(&seen, e.Value, e.Line, at)
		out = append(out, e.Value)
	}
	return out
}
