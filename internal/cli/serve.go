package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"kqual/internal/serve"
)

// defaultListen is reachable from this machine alone.
const defaultListen = "127.0.0.1:8417"

func (a *app) serveCommand() *cobra.Command {
	var state, listen string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Show the nights over HTTP, read-only",
		Long: `Show the nights over HTTP, read-only, until interrupted:

  /                          the calendar
  /runs/RUN/report.html      a night; also report.md, summary.md, junit.xml,
                             results.json, rates.svg, changes.txt, night.json
  /cells                     the cells of the last night
  /trend?cell=CELL           a cell over the nights
  /logs/SHA256               a console log
  /api/runs, /api/runs/RUN, /api/runs/RUN/results, …/changes, …/logs,
  /api/trend?cell=CELL, /api/compare?old=RUN&new=RUN    the same as JSON
  /healthz, /metrics         for monitoring

RUN is a name, a tag or last; CELL is kernel/filesystem/scenario/watch. There is
no authentication: put a proxy in front before it listens to others.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), state, listen) },
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "`ADDRESS` to listen on")
	return cmd
}

func (a *app) serve(ctx context.Context, state, listen string) error {
	if !isDir(state) {
		return usage(fmt.Errorf("--state: there is no directory %s; kqual nightly makes one", state))
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}
	s := &serve.Server{State: state, Cell: parseCell, Now: time.Now, Hosts: serve.LocalHosts(l.Addr().String())}
	defer s.Close()
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	stop := context.AfterFunc(ctx, func() {
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(shutdown)
	})
	defer stop()
	if len(s.Hosts) == 0 {
		a.say("kqual: warning: %s can be reached from other machines, and there is no authentication", l.Addr())
	}
	a.say("kqual: serving %s on http://%s/", state, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
