package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
)

func (a *app) kernelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "List, fetch, build, lock, verify or prune the kernels of the matrix",
	}
	group(cmd)
	cmd.AddCommand(
		a.kernelsListCommand(),
		a.kernelsVerifyCommand(),
		a.kernelsLockCommand(),
		a.kernelsUpdateCommand(),
		a.kernelsPruneCommand(),
		a.getCommand("fetch", "Get kernels into the cache, by download or build", func(matrix.Kernel) bool { return true }),
		a.getCommand("build", "Build the kernels of the matrix that are built from source", func(k matrix.Kernel) bool { return k.Source == "build" }),
	)
	return cmd
}

func (a *app) kernelsListCommand() *cobra.Command {
	var sel selector
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the kernels of the matrix and where they come from",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			spec, err := sel.load()
			if err != nil {
				return err
			}
			cat := catalog()
			if asJSON {
				type item struct {
					Kernel  string         `json:"kernel"`
					Source  string         `json:"source"`
					Machine matrix.Machine `json:"machine"`
					Get     string         `json:"get,omitempty"`
				}
				list := []item{}
				for _, k := range spec.Kernels {
					list = append(list, item{k.Name, k.Source, k.Machine, costOf(cat, k)})
				}
				return a.json(list)
			}
			rows := [][]string{{"kernel", "source", "arch", "vCPUs", "memory", "to get it, unless it is in the cache"}}
			for _, k := range spec.Kernels {
				rows = append(rows, []string{
					k.Name, k.Source, k.Machine.Architecture(), strconv.Itoa(k.Machine.VCPUs), fmt.Sprintf("%d MiB", k.Machine.Memory>>20), costOf(cat, k),
				})
			}
			_, err = io.WriteString(a.Out, columns(rows))
			return err
		},
	}
	sel.matrixFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func costOf(cat matrix.Catalog, k matrix.Kernel) string {
	if cost := cat.KernelSources[k.Source].Cost; cost != nil {
		return cost(k.Config)
	}
	return ""
}

// getCommand gets the kernels that are wanted, or those that are named.
func (a *app) getCommand(name, short string, wanted func(matrix.Kernel) bool) *cobra.Command {
	var sel selector
	cmd := &cobra.Command{
		Use:   name + " [KERNEL...]",
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := sel.load()
			if err != nil {
				return err
			}
			if err := sel.expand(cmd.Context(), a, spec); err != nil {
				return err
			}
			list, err := choose(spec, args, wanted)
			if err != nil {
				return err
			}
			cache, err := sel.openCache()
			if err != nil {
				return err
			}
			show := a.newProgress(0, 0)
			defer show.close()
			var failed []string
			var rows [][]string
			for _, k := range list {
				img, err := kernels.Fetch(cmd.Context(), kernels.Env{Cache: cache, Kernel: k.Name, Progress: show.fetch}, k)
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				if err != nil {
					failed = append(failed, k.Name)
					show.line(k.Name + ": error: " + describe(err))
					continue
				}
				p := img.Provenance
				version := p.Version
				if why := p.Unverified(); why != "" {
					version += " (" + matrix.DetailUnverified + ")"
					show.line(k.Name + ": UNVERIFIED: nothing vouches for this kernel, " + reports.Printable(why))
				}
				rows = append(rows, []string{k.Name, version, cmp.Or(img.Vmlinux, img.Vmlinuz)})
			}
			show.close()
			if _, err := io.WriteString(a.Out, columns(rows)); err != nil {
				return err
			}
			if len(failed) > 0 {
				return fmt.Errorf("%d of %s could not be had: %s", len(failed), count(len(list), "kernel"), strings.Join(failed, ", "))
			}
			return nil
		},
	}
	sel.matrixFlag(cmd)
	sel.getFlags(cmd)
	return cmd
}

// choose returns the named kernels, or all wanted ones.
func choose(spec *matrix.Spec, named []string, wanted func(matrix.Kernel) bool) ([]matrix.Kernel, error) {
	var out []matrix.Kernel
	var known []string
	for _, k := range spec.Kernels {
		if wanted(k) {
			known = append(known, k.Name)
			if len(named) == 0 || slices.Contains(named, k.Name) {
				out = append(out, k)
			}
		}
	}
	var wrong []error
	for _, n := range named {
		if !slices.Contains(known, n) {
			wrong = append(wrong, fmt.Errorf("%s has no such kernel: %q; %s", spec.Path, n, matrix.DidYouMean(n, known)))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, usage(err)
	}
	if len(out) == 0 {
		return nil, usage(fmt.Errorf("%s has no kernel that is built from source", spec.Path))
	}
	return out, nil
}
