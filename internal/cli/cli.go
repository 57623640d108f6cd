package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kqual/matrix"
	"kqual/runner"
)

// Stdio is where a command reads and writes.
type Stdio struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// The exit codes of every command.
const (
	exitOK          = 0
	exitUnmet       = 1 // a cell did not meet its expectation; for doctor: something is missing
	exitUsage       = 2 // bad usage or invalid matrix; nothing was started
	exitNoAnswer    = 3 // some cell has no answer, or the command could not do its work
	exitInterrupted = 130
)

const exitCodes = `Exit codes:
  0    every cell met its expectation
  1    a cell did not
  2    bad usage or invalid matrix; no virtual machine was started
  3    some cell has no answer, or kqual could not do its work
  130  interrupted; finished cells are saved`

// app is what all commands share.
type app struct {
	Stdio
	verbose bool
	// measure runs a plan; it is runner.Run, except in tests.
	measure func(context.Context, runner.Config) ([]matrix.KernelRun, error)
}

// Main runs one command line, without the program's name, and returns the exit
// code. It may be called more than once and from tests: it touches no global
// state but the signal handlers of SIGINT and SIGTERM while it runs.
func Main(ctx context.Context, args []string, stdio Stdio) int {
	a := &app{Stdio: stdio, measure: runner.Run}
	return a.main(ctx, args)
}

func (a *app) main(ctx context.Context, args []string) int {
	ctx, stop := a.interruptible(ctx)
	defer stop()
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var said *exitError
	if err != nil && ctx.Err() != nil && !errors.As(err, &said) {
		err = &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	}
	return a.report(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kqual",
		Short: "Tell on which kernels a deleted file can still be opened after IN_DELETE",
		Long: `kqual boots kernels in virtual machines and finds out on which of them, with
which watch flags, a process can still open a file after it was told that the
file was deleted, and which mitigation holds.

kqual run reads matrix.yaml, gets every kernel, boots it, runs every cell and
prints one table.

` + exitCodes,
		SilenceErrors: true, SilenceUsage: true,
	}
	group(root)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	root.AddCommand(a.runCommand(), a.planCommand(), a.reportCommand(), a.kernelsCommand(), a.listCommand(), a.historyCommand(), a.nightlyCommand(), a.certifyCommand(), a.serveCommand(), a.doctorCommand(), a.versionCommand())
	return root
}

// group makes cmd a command that only has subcommands: alone it prints its
// help, with an unknown word it says which ones there are.
func group(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var known []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				known = append(known, c.Name())
			}
		}
		return usage(fmt.Errorf("unknown command %q for %s; %s", args[0], cmd.CommandPath(), matrix.DidYouMean(args[0], known)))
	}
}

// exactly wants so many arguments, named in the usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return usage(fmt.Errorf("%s takes %s, got %d; see %s --help", cmd.CommandPath(), count(n, "argument"), len(args), cmd.CommandPath()))
	}
}

// count is "no argument", "1 argument" or "3 arguments".
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
