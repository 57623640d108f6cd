package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kqual/matrix"
	"kqual/runner"
)

// budgetFlags say what of the host virtual machines may use.
type budgetFlags struct {
	cpus, jobs int
	memory     string
}

func (b *budgetFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&b.cpus, "cpus", 0, "host CPUs for virtual machines; a race has as many of them alone as its machine has virtual ones (default: those kqual may use)")
	f.StringVar(&b.memory, "memory", "", "memory `SIZE` of all virtual machines together, such as 4GiB (default: what is available)")
	f.IntVarP(&b.jobs, "jobs", "j", 0, "virtual machines at a time, those that only boot included (default: as many as CPUs and memory allow)")
}

func (b *budgetFlags) budget() (runner.Budget, error) {
	out := runner.Budget{CPUs: b.cpus, Jobs: b.jobs}
	switch {
	case b.cpus < 0:
		return out, usage(fmt.Errorf("--cpus: %d is less than 0; leave it out to take what the host has", b.cpus))
	case b.jobs < 0:
		return out, usage(fmt.Errorf("--jobs: %d is less than 0; leave it out to let CPUs and memory decide", b.jobs))
	case b.memory == "":
		return out, nil
	}
	n, err := matrix.ParseSize(b.memory)
	if err != nil || n <= 0 {
		return out, usage(fmt.Errorf("--memory: %q is no size; write one such as 4GiB or 1500MiB", b.memory))
	}
	out.Memory = n
	return out, nil
}

func maxRunTimeFlag(cmd *cobra.Command, d *time.Duration) {
	cmd.Flags().DurationVar(d, "max-run-time", 0, "`DURATION` after which what is not measured gets an error, as in 6h (default: no limit)")
}

func checkMaxRunTime(d time.Duration) error {
	if d < 0 {
		return usage(fmt.Errorf("--max-run-time: %s is negative; give a duration such as 6h", d))
	}
	return nil
}
