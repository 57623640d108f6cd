package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kqual/kernels"
	"kqual/matrix"
)

func (a *app) kernelsPruneCommand() *cobra.Command {
	var sel selector
	var size, age string
	var dryRun, all, asJSON bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from the cache what was not used for long",
		Long: `Remove from the cache what was not used for --max-age, then the least recently
used until it has --max-size. What another kqual is using stays, and so does what
the matrix or its lock names, unless --all is given. It is safe beside a running
kqual.`,
		Example: `  kqual kernels prune --max-size 5GiB --max-age 30d
  kqual kernels prune --max-age 0d --all --dry-run`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := kernels.PruneOptions{MaxSize: -1, MaxAge: -1, DryRun: dryRun}
			var err error
			if size == "" && age == "" {
				return usage(errors.New("say what may go: --max-size, --max-age or both; see kqual kernels prune --help"))
			}
			if size != "" {
				if o.MaxSize, err = matrix.ParseSize(size); err != nil {
					return usage(fmt.Errorf("--max-size: %q is no size; write one such as 5GiB or 500MiB", size))
				}
			}
			if age != "" {
				if o.MaxAge, err = parseAge("--max-age", age); err != nil {
					return err
				}
			}
			cache, err := openCache()
			if err != nil {
				return err
			}
			if !all {
				list, err := sel.known(cmd.Flags().Changed("matrix"))
				if err != nil {
					return err
				}
				var unknown []string
				if o.Keep, unknown = cache.Named(cmd.Context(), list); len(unknown) > 0 {
					a.say("kqual: warning: the cache cannot tell which kernels these are, so nothing of theirs is kept: %s; kqual kernels fetch gets them", strings.Join(unknown, ", "))
				}
			}
			r, err := cache.Prune(cmd.Context(), o)
			if perr := a.printPruned(r, dryRun, asJSON); perr != nil {
				return perr
			}
			if err != nil {
				return err
			}
			if o.MaxSize >= 0 && r.Left > o.MaxSize {
				a.say("kqual: warning: the cache has %s, more than %s: the rest is in use or named by the matrix or its lock (--all)", bytesText(r.Left), size)
			}
			return nil
		},
	}
	sel.matrixFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&size, "max-size", "", "`SIZE` that the cache may keep, such as 5GiB")
	f.StringVar(&age, "max-age", "", "`AGE` since its last use that an entry may have, such as 30d or 12h")
	f.BoolVar(&all, "all", false, "also remove what the matrix and its lock name")
	f.BoolVar(&dryRun, "dry-run", false, "only show what would go")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// known are the kernels of the matrix, and those of its lock, as far as there is
// one. must says that there has to be a matrix.
func (s *selector) known(must bool) ([]matrix.Kernel, error) {
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	spec, err := s.load()
	if err != nil {
		return nil, err
	}
	list := spec.Kernels
	lock, err := kernels.LoadLock(kernels.LockPath(s.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return list, nil
	case err != nil:
		return nil, usage(err)
	}
	return append(list, lock.All()...), nil
}

func (a *app) printPruned(r kernels.PruneResult, dryRun, asJSON bool) error {
	if asJSON {
		return a.json(struct {
			DryRun bool `json:"dry_run"`
			kernels.PruneResult
		}{dryRun, r})
	}
	var rows [][]string
	for _, p := range r.Removed {
		rows = append(rows, []string{p.Entry, bytesText(p.Bytes), p.Used.Local().Format(time.DateTime)})
	}
	verb := "freed"
	if dryRun {
		verb = "would free"
	}
	text := columns(rows) + fmt.Sprintf("%s %s, %s left", verb, bytesText(r.Freed), bytesText(r.Left))
	if r.Kept > 0 {
		text += fmt.Sprintf("; kept %d that the matrix or its lock names", r.Kept)
	}
	if r.InUse > 0 {
		text += fmt.Sprintf("; kept %d in use", r.InUse)
	}
	_, err := io.WriteString(a.Out, text+"\n")
	return err
}
