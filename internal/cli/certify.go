package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kqual/internal/atomicfile"
	"kqual/internal/certify"
	"kqual/internal/history"
)

func (a *app) certifyCommand() *cobra.Command {
	var state, kernel, against, night string
	var outputs []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "certify --kernel NAME --against TAG",
		Short: "State on one page whether a kernel passes, and what that rests on",
		Long: `State what a night says about one kernel: pass, fail or not enough evidence, as
Markdown or JSON, with its cells, provenance, waivers, and the sha256 of
everything that the statement rests on. A cell passes if it has a firm answer,
meets its expectation, and is no worse than in the run that is trusted.

Exit codes:
  0  pass
  1  fail
  2  bad usage
  3  not enough evidence, or kqual could not do its work`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := certifyOutputs(outputs)
			if err != nil {
				return err
			}
			if kernel == "" || against == "" {
				return usage(errors.New("certify needs --kernel NAME and --against TAG; see kqual certify --help"))
			}
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				s, err := certify.Make(cmd.Context(), db, kernel, night, against, time.Now())
				if err != nil {
					return err
				}
				var b bytes.Buffer
				enc := json.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				if err := enc.Encode(s); err != nil {
					return err
				}
				forms := map[string][]byte{"json": b.Bytes(), "markdown": []byte(s.Markdown())}
				for _, f := range files {
					if err := atomicfile.Write(f[1], forms[f[0]]); err != nil {
						return err
					}
				}
				form := "markdown"
				if asJSON {
					form = "json"
				}
				if _, err := a.Out.Write(forms[form]); err != nil {
					return err
				}
				switch s.Result {
				case certify.Pass:
					return nil
				case certify.Fail:
					return &exitError{code: exitUnmet}
				}
				return &exitError{code: exitNoAnswer}
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&kernel, "kernel", "", "`NAME` of the kernel in the matrix")
	cmd.Flags().StringVar(&against, "against", "", "`TAG` or name of the run that is trusted")
	cmd.Flags().StringVar(&night, "run", "last", "`RUN` to certify: a name, a tag or last")
	cmd.Flags().StringArrayVarP(&outputs, "output", "o", nil, "also write markdown=FILE or json=FILE; repeatable")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// certifyOutputs reads the values of -o as pairs of form and file.
func certifyOutputs(values []string) ([][2]string, error) {
	var out [][2]string
	for _, v := range values {
		form, path, ok := strings.Cut(v, "=")
		if !ok || path == "" || form != "markdown" && form != "json" {
			return nil, usage(fmt.Errorf("-o %s: write markdown=FILE or json=FILE", v))
		}
		if !isDir(filepath.Dir(path)) {
			return nil, usage(fmt.Errorf("-o %s: the directory %s does not exist", v, filepath.Dir(path)))
		}
		out = append(out, [2]string{form, path})
	}
	return out, nil
}
