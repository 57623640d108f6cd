package kernels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

// lockVersion is the only version of the lock file there is.
const lockVersion = 1

// maxLock bounds a lock file, in bytes; a kernel takes about 1 kB.
const maxLock = 8 << 20

// Lock is what the kernels of a matrix were when it was locked.
type Lock struct {
	Version int            `yaml:"version" kqual:"required"`
	Entries string         `yaml:"entries_sha256" kqual:"required"` // of the matrix's kernels part
	Kernels []LockedKernel `yaml:"kernels" kqual:"required"`        // in the order of the matrix

	path string
}

// LockedKernel is one kernel of a lock.
type LockedKernel struct {
	Name   string `yaml:"name" kqual:"required"`
	Entry  string `yaml:"entry" kqual:"required"`        // of the matrix; it may stand for several kernels
	Hash   string `yaml:"entry_sha256" kqual:"required"` // what the entry said
	Source string `yaml:"source" kqual:"required"`
	Arch   string `yaml:"arch,omitempty"` // amd64 where empty
	Pin    `yaml:",inline"`
}

// LockPath is where the lock of a matrix file is: matrix.lock beside
// matrix.yaml.
func LockPath(matrixPath string) string {
	return strings.TrimSuffix(matrixPath, filepath.Ext(matrixPath)) + ".lock"
}

// EntryHash is the sha256 of what an entry of the matrix says of its kernels.
// Where packages come from is no part of it, nor is what has no value: a later
// kqual with more keys gives the same hash.
func EntryHash(k matrix.Kernel) (string, error) {
	data, err := json.Marshal(k.Config)
	if err != nil {
		return "", fmt.Errorf("hash the entry %s: %w", k.Name, err)
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return "", fmt.Errorf("hash the entry %s: %w", k.Name, err)
	}
	if data, err = json.Marshal(withoutZeros(value)); err != nil { // keys are sorted
		return "", fmt.Errorf("hash the entry %s: %w", k.Name, err)
	}
	parts := []string{k.Name, k.Source, string(data)}
	if arch := lockedArch(k); arch != "" {
		parts = append(parts, arch)
	}
	return hashStrings(parts...), nil
}

// lockedArch is the architecture of a kernel as a lock has it.
func lockedArch(k matrix.Kernel) string {
	if arch := k.Machine.Architecture(); arch != matrix.DefaultArch {
		return arch
	}
	return ""
}

// withoutZeros drops what has no value out of a JSON value; nil is left of one
// that is all zero.
func withoutZeros(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, e := range v {
			if e = withoutZeros(e); e != nil {
				out[key] = e
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = withoutZeros(e)
		}
		return out
	case string:
		if v == "" {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	}
	return v
}

// EntriesHash is the sha256 of the kernels part of a matrix.
func EntriesHash(entries []matrix.Kernel) (string, error) {
	var all []string
	for _, k := range entries {
		h, err := EntryHash(k)
		if err != nil {
			return "", err
		}
		all = append(all, h)
	}
	return hashStrings(all...), nil
}

// NewLock is an empty lock of the entries of a matrix, for the file at path.
func NewLock(path string, entries []matrix.Kernel) (*Lock, error) {
	hash, err := EntriesHash(entries)
	return &Lock{Version: lockVersion, Entries: hash, path: path}, err
}

// Add puts a kernel into the lock: entry is what stood in the matrix for it.
func (l *Lock) Add(entry, k matrix.Kernel, pin Pin) error {
	hash, err := EntryHash(entry)
	if err != nil {
		return err
	}
	l.Kernels = append(l.Kernels, LockedKernel{Name: k.Name, Entry: entry.Name, Hash: hash, Source: k.Source, Arch: lockedArch(k), Pin: pin})
	return nil
}

const lockHead = "# What kqual kernels lock found. kqual run --locked uses exactly this;\n# kqual kernels update shows what has changed since.\n"

// Save writes the lock.
func (l *Lock) Save() error {
	var b bytes.Buffer
	b.WriteString(lockHead)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(l), enc.Close()); err != nil {
		return fmt.Errorf("write the lock: %w", err)
	}
	return atomicfile.Write(l.path, b.Bytes())
}

// noLock is a lock that is not there, by its path: it is fs.ErrNotExist.
type noLock string

func (p noLock) Error() string {
	return "read the lock: " + string(p) + " does not exist; kqual kernels lock makes it"
}
func (noLock) Is(target error) bool { return target == fs.ErrNotExist }

// LoadLock reads a lock strictly: an error is a *matrix.ParseError with every
// problem, or one of the file's.
func LoadLock(path string) (*Lock, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noLock(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	wrong := func(problems ...matrix.Problem) error { return &matrix.ParseError{File: path, Problems: problems} }
	if len(data) > maxLock {
		return nil, wrong(matrix.Problem{What: fmt.Sprintf("it has more than %d bytes", maxLock)})
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, wrong(matrix.Problem{What: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
	}
	l := &Lock{path: path}
	if doc.Kind == 0 {
		return nil, wrong(matrix.Problem{What: "it is empty; kqual kernels lock makes it anew"})
	}
	if problems := matrix.DecodeStrict(&doc, "", l); len(problems) > 0 {
		return nil, wrong(problems...)
	}
	if l.Version != lockVersion {
		return nil, wrong(matrix.Problem{Path: "version", What: fmt.Sprintf("is %d; this kqual reads version %d", l.Version, lockVersion)})
	}
	var problems matrix.Problems
	taken := map[string]bool{}
	for i := range l.Kernels {
		k := &l.Kernels[i]
		k.lock = filepath.Base(path)
		for at, what := range k.faults() {
			problems = append(problems, matrix.Problem{Path: fmt.Sprintf("kernels[%d].%s", i, at), What: what})
		}
		if taken[k.Name] {
			problems = append(problems, matrix.Problem{Path: fmt.Sprintf("kernels[%d].name", i), What: fmt.Sprintf("duplicate kernel %q", k.Name)})
		}
		taken[k.Name] = true
	}
	if len(problems) > 0 {
		return nil, wrong(problems...)
	}
	return l, nil
}

var hexDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// faults are the mistakes in what a person may have edited, by key. Names and
// paths become parts of paths and URLs.
func (k *LockedKernel) faults() map[string]string {
	out := map[string]string{}
	if rest, ok := strings.CutPrefix(k.Name, k.Entry); !ok || rest != "" && !strings.HasPrefix(rest, "-") || strings.ContainsAny(k.Name, "/\x00\n") {
		out["name"] = fmt.Sprintf("%q is no kernel of the entry %q", k.Name, k.Entry)
	}
	if !hexSHA256.MatchString(k.Image) {
		out["image_sha256"] = "is no sha256 (64 hex digits, lower case)"
	}
	if k.Arch != "" && targets[k.Arch] == nil {
		out["arch"] = fmt.Sprintf("unknown architecture %q; %s", k.Arch, matrix.DidYouMean(k.Arch, Architectures()))
	}
	if k.Digest != "" && !hexDigest.MatchString(k.Digest) {
		out["digest"] = "is no digest (sha256: and 64 hex digits)"
	}
	if k.Build != nil && !hexSHA256.MatchString(k.Build.Recipe) {
		out["build.recipe_sha256"] = "is no sha256 (64 hex digits, lower case)"
	}
	for i, f := range k.Files {
		if !hexSHA256.MatchString(f.SHA256) {
			out[fmt.Sprintf("files[%d].sha256", i)] = "is no sha256 (64 hex digits, lower case)"
		}
		if f.Size < 0 {
			out[fmt.Sprintf("files[%d].size", i)] = "is below zero"
		}
		if k.Suite != "" && (!filepath.IsLocal(f.Path) || f.Name == "" || f.Version == "") {
			out[fmt.Sprintf("files[%d]", i)] = "is no package of an archive: it needs name, version and a path below the archive's URL"
		}
	}
	switch {
	case k.Source == "debian" && (k.Suite == "" || len(k.Files) == 0):
		out["files"] = "a kernel of a suite needs suite and files"
	case k.Source == "build" && k.Build == nil:
		out["build"] = "is missing"
	case k.Source == "oci" && k.Digest == "":
		out["digest"] = "is missing"
	}
	return out
}

// Fits says whether the lock was made for exactly these entries.
func (l *Lock) Fits(entries []matrix.Kernel) bool {
	hash, err := EntriesHash(entries)
	return err == nil && hash == l.Entries
}

// Pinned replaces an entry of the matrix by the kernels that the lock has of
// it. One that the lock does not have, or has otherwise, stays: its Pin is then
// the reason why it cannot be got.
func (l *Lock) Pinned(entry matrix.Kernel) []matrix.Kernel {
	name := filepath.Base(l.path)
	fails := func(why string) []matrix.Kernel {
		entry.Pin = &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("%s %s %s", name, why, entry.Name),
			Hint: "kqual kernels update shows what differs, with --write it locks what there is now",
		}
		return []matrix.Kernel{entry}
	}
	hash, err := EntryHash(entry)
	if err != nil {
		return fails("cannot be compared with the kernel")
	}
	var out []matrix.Kernel
	for i := range l.Kernels {
		locked := &l.Kernels[i]
		if locked.Entry != entry.Name {
			continue
		}
		if locked.Hash != hash || locked.Source != entry.Source {
			return fails("was made for another entry of the name")
		}
		k := entry
		k.Name, k.Pin = locked.Name, &locked.Pin
		if x, ok := sources[k.Source].(expander); ok && len(locked.Files) > 0 {
			k.Config = x.expanded(k.Config, &locked.Pin)
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return fails("has no kernel")
	}
	return out
}

// All are the kernels of the lock, with nothing else of the matrix.
func (l *Lock) All() []matrix.Kernel {
	var out []matrix.Kernel
	for i := range l.Kernels {
		k := &l.Kernels[i]
		out = append(out, matrix.Kernel{Name: k.Name, Source: k.Source, Machine: matrix.Machine{Arch: k.Arch}, Pin: &k.Pin})
	}
	return out
}

// Keep takes over what another lock has of a kernel; of all that its entry
// stands for, where k is the entry itself.
func (l *Lock) Keep(from *Lock, entry, k matrix.Kernel) {
	if from == nil {
		return
	}
	for _, old := range from.Kernels {
		if old.Name == k.Name || old.Entry == entry.Name && k.Name == entry.Name {
			l.Kernels = append(l.Kernels, old)
		}
	}
}
