package kernels

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// configOptions are the kernel options that matter to the outcome.
var configOptions = []string{
	"SMP", "NR_CPUS", "HZ", "PREEMPT_NONE", "PREEMPT_VOLUNTARY", "PREEMPT", "PREEMPT_LAZY", "PREEMPT_DYNAMIC", "PREEMPT_RT",
	"INOTIFY_USER", "FANOTIFY", "FHANDLE", "TMPFS",
}

// readKconfig picks the options that matter out of a kernel's .config:
// name without CONFIG_ → value, only those that are set. A missing file gives
// an empty map.
func readKconfig(path string) map[string]string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	wanted := map[string]bool{}
	for _, name := range configOptions {
		wanted[name] = true
	}
	options := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(s.Text(), "CONFIG_"), "=")
		if ok && wanted[name] {
			options[name] = value
		}
	}
	return options
}

// Keys in Provenance.Details about a kernel's .config, where it has one.
const (
	detailConfigSum  = "config_sha256"
	detailConfigFile = "config_file" // below the cache's directory, or a path on this machine
)

// describeConfig puts into the provenance which options the kernel has that
// matter, the hash of its whole .config, and where that is kept.
func (img *Image) describeConfig(c *Cache) error {
	if img.Config == "" {
		return nil
	}
	sum, err := HashFile(img.Config)
	if err != nil {
		return err
	}
	kept := img.Config
	if rel, err := filepath.Rel(c.Dir(), kept); err == nil && filepath.IsLocal(rel) {
		kept = rel
	}
	p := &img.Provenance
	if p.Details == nil {
		p.Details = map[string]string{}
	}
	p.Config, p.Details[detailConfigSum], p.Details[detailConfigFile] = readKconfig(img.Config), sum, kept
	return nil
}
