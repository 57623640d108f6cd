package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kqual/matrix"
	"kqual/reports"
)

// finding is one line of doctor.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // the matrix cannot be run without it
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // what to do where it is not ok
}

// diagnosis is what doctor --json prints.
type diagnosis struct {
	OK     bool      `json:"ok"` // everything that is needed is there
	Checks []finding `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	var sel selector
	var asJSON, noBoot bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that this machine has what a run of the matrix needs",
		Long: `Check that this machine has what a run of the matrix needs, one line for each
thing, with what to do where it is missing. An accelerator counts only if a
guest booted with it; the answer is remembered until the host is started again.

Exit code 0 if everything that is needed is there, 1 otherwise.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{app: a, sel: sel, boot: !noBoot}
			diag := d.examine(cmd.Context())
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if asJSON {
				if err := a.json(diag); err != nil {
					return err
				}
			} else {
				a.printDiagnosis(diag)
			}
			if !diag.OK {
				return &exitError{code: exitUnmet}
			}
			return nil
		},
	}
	sel.matrixFlag(cmd)
	cmd.Flags().BoolVar(&noBoot, "no-boot", false, "start no virtual machine: leave accelerators untried")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// doctor examines this machine.
type doctor struct {
	*app
	sel  selector
	boot bool

	spec *matrix.Spec // nil where there is no valid matrix: then everything is needed
}

func (d *doctor) examine(ctx context.Context) diagnosis {
	checks := append([]finding{d.matrix()}, d.qemu(ctx)...)
	checks = append(checks, d.firmware(ctx), d.program("setpriv", "util-linux", true, "QEMU would outlive a killed kqual"))
	checks = append(checks, d.accelerators(ctx, checks)...)
	checks = append(checks, d.mirror(ctx), d.keyring())
	checks = append(checks, d.buildTools()...)
	checks = append(checks, d.filesystemTools()...)
	checks = append(checks, d.cache()...)
	diag := diagnosis{OK: true, Checks: checks}
	for _, c := range checks {
		diag.OK = diag.OK && (c.OK || !c.Needed)
	}
	return diag
}

func (a *app) printDiagnosis(diag diagnosis) {
	color := looks(a.Out).Color
	most := 0
	for _, c := range diag.Checks {
		most = max(most, len(c.Name))
	}
	for _, c := range diag.Checks {
		mark, style := "✓", "32"
		switch {
		case !c.OK && c.Needed:
			mark, style = "✗", "1;31"
		case !c.OK:
			mark, style = "✗", "33"
		}
		if color {
			mark = "\x1b[" + style + "m" + mark + "\x1b[0m"
		}
		text := reports.Printable(c.Detail)
		switch hint := reports.Printable(c.Hint); {
		case c.OK:
		case !c.Needed && hint != "":
			text += "; not needed here (" + hint + ")"
		case !c.Needed:
			text += "; not needed here"
		case hint != "":
			text += "; " + hint
		}
		fmt.Fprintf(a.Out, "%s %-*s  %s\n", mark, most, c.Name, text)
	}
}

// matrix reads the matrix, which decides what is needed.
func (d *doctor) matrix() finding {
	f := finding{Name: "matrix", Needed: true}
	spec, err := d.sel.load()
	if err != nil {
		first, rest, _ := strings.Cut(err.Error(), "\n")
		f.Detail = first
		if rest != "" {
			f.Detail += fmt.Sprintf(" (and %d more)", strings.Count(rest, "\n")+1)
		}
		f.Hint = "kqual plan says all that is wrong"
		return f
	}
	d.spec = spec
	f.OK = true
	f.Detail = fmt.Sprintf("%s: %s, %s", d.sel.path, count(len(spec.Kernels), "kernel"), count(len(spec.Watches), "watch"))
	f.Detail = strings.ReplaceAll(f.Detail, "watchs", "watches")
	return f
}

// wants says whether a kernel of the matrix comes from one of the sources.
func (d *doctor) wants(sources ...string) bool {
	if d.spec == nil {
		return true
	}
	for _, k := range d.spec.Kernels {
		for _, s := range sources {
			if k.Source == s {
				return true
			}
		}
	}
	return false
}

// existingParent is dir, or the nearest directory above it that exists.
func existingParent(dir string) string {
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}
