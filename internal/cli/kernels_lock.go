package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"kqual/kernels"
	"kqual/matrix"
)

func (a *app) kernelsLockCommand() *cobra.Command {
	var sel selector
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Write down exactly which kernels the matrix stands for now",
		Long: `Get every kernel of the matrix and write what it is to the lock beside it
(matrix.yaml: matrix.lock): versions, files with sizes and hashes, what decides a
build, the hash of the image. kqual run --locked and kqual kernels fetch --locked
then use exactly that. Where one kernel cannot be had, no lock is written.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			now, err := a.lockNow(cmd.Context(), &sel, nil, true)
			if err != nil {
				return err
			}
			if err := now.Save(); err != nil {
				return err
			}
			a.say("kqual: wrote %s: %s", kernels.LockPath(sel.path), count(len(now.Kernels), "kernel"))
			if asJSON {
				type item struct {
					Kernel  string `json:"kernel"`
					Source  string `json:"source"`
					Version string `json:"version,omitempty"`
					Image   string `json:"image_sha256"`
				}
				list := []item{}
				for _, k := range now.Kernels {
					list = append(list, item{k.Name, k.Source, k.Version, k.Image})
				}
				return a.json(list)
			}
			rows := [][]string{{"kernel", "source", "version", "sha256 of the image"}}
			for _, k := range now.Kernels {
				rows = append(rows, []string{k.Name, k.Source, k.Version, k.Image})
			}
			_, err = io.WriteString(a.Out, columns(rows))
			return err
		},
	}
	sel.matrixFlag(cmd)
	sel.offlineFlag(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// lockNow is the lock of what the matrix stands for now. Without get nothing is
// got that is not needed to know which kernels these are, and what only an image
// tells is missing. A kernel that cannot be had is said so on standard error;
// the lock then has it as before has it, and comes with an error.
func (a *app) lockNow(ctx context.Context, sel *selector, before *kernels.Lock, get bool) (*kernels.Lock, error) {
	spec, err := sel.load()
	if err != nil {
		return nil, err
	}
	if err := sel.expand(ctx, a, spec); err != nil {
		return nil, err
	}
	cache, err := sel.openCache()
	if err != nil {
		return nil, err
	}
	now, err := kernels.NewLock(kernels.LockPath(sel.path), sel.entries)
	if err != nil {
		return nil, err
	}
	show := a.newProgress(0, 0)
	defer show.close()
	var failed []string
	for _, k := range spec.Kernels {
		env := kernels.Env{Cache: cache, Kernel: k.Name, Progress: show.fetch}
		pin, err := pinOf(ctx, env, k, get)
		if cerr := ctx.Err(); cerr != nil {
			return nil, cerr
		}
		entry := sel.entryOf[k.Name]
		if err != nil {
			failed = append(failed, k.Name)
			show.line(k.Name + ": error: " + describe(err))
			now.Keep(before, entry, k)
			continue
		}
		if err := now.Add(entry, k, *pin); err != nil {
			return nil, err
		}
	}
	if len(failed) > 0 {
		what := "could not be looked up"
		if get {
			what = "could not be had, so no lock is written"
		}
		return now, fmt.Errorf("%d of %s %s: %s", len(failed), count(len(spec.Kernels), "kernel"), what, strings.Join(failed, ", "))
	}
	return now, nil
}

func pinOf(ctx context.Context, env kernels.Env, k matrix.Kernel, get bool) (*kernels.Pin, error) {
	pin, err := kernels.Resolve(ctx, env, k)
	if err != nil || !get {
		return pin, err
	}
	img, err := kernels.FetchPinned(ctx, env, k, pin)
	if err != nil {
		return nil, err
	}
	return pin, img.Verify()
}

func (a *app) kernelsUpdateCommand() *cobra.Command {
	var sel selector
	var asJSON, write bool
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Show what the lock would have otherwise now; with --write, lock that",
		Long: `Look up what the matrix stands for now and show what differs from the lock: other
versions, kernels that are new, kernels that are gone. Nothing is written and no
kernel is got unless --write is given.

Exit codes:
  0    nothing would change, or --write has written the lock
  1    something would change
  2    bad usage, invalid matrix or invalid lock
  3    what some kernel is now could not be found out`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			before, err := kernels.LoadLock(kernels.LockPath(sel.path))
			if errors.Is(err, fs.ErrNotExist) {
				before = &kernels.Lock{}
			} else if err != nil {
				return usage(err)
			}
			now, unknown := a.lockNow(cmd.Context(), &sel, before, write)
			if now == nil {
				return unknown
			}
			changes := before.Compare(now)
			if unknown == nil || len(changes) > 0 || asJSON {
				if err := a.showChanges(changes, asJSON); err != nil {
					return err
				}
			}
			switch {
			case unknown != nil:
				return unknown
			case len(changes) == 0:
				return nil
			case !write:
				return &exitError{code: exitUnmet}
			}
			if err := now.Save(); err != nil {
				return err
			}
			a.say("kqual: wrote %s: %s", kernels.LockPath(sel.path), count(len(now.Kernels), "kernel"))
			return nil
		},
	}
	sel.matrixFlag(cmd)
	cmd.Flags().BoolVar(&write, "write", false, "get the kernels and write the lock")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) showChanges(changes []kernels.Change, asJSON bool) error {
	if asJSON {
		return a.json(append([]kernels.Change{}, changes...))
	}
	if len(changes) == 0 {
		_, err := io.WriteString(a.Out, "the lock has what the matrix stands for now\n")
		return err
	}
	rows := [][]string{{"", "kernel", "locked", "", "now", ""}}
	for _, c := range changes {
		rows = append(rows, []string{c.Kind, c.Kernel, cmp.Or(c.Old, "-"), "→", cmp.Or(c.New, "-"), c.What})
	}
	_, err := io.WriteString(a.Out, columns(rows))
	return err
}
