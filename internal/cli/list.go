package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
)

// section is one kind of thing that a matrix or a command line can name.
type section struct {
	Kind  string `json:"kind"`
	Where string `json:"where"` // it is named
	Items []item `json:"items"`
}

type item struct {
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
}

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	var known []string
	for _, s := range registered() {
		known = append(known, s.Kind)
	}
	cmd := &cobra.Command{
		Use:   "list [KIND]",
		Short: "List what a matrix can name: sources, filesystems, scenarios, flags, checks …",
		Long: `List everything that is registered, or only one kind of it:
  ` + strings.Join(known, "\n  "),
		ValidArgs: known,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return exactly(1)(cmd, args)
			case len(args) == 1 && !slices.Contains(known, args[0]):
				return usage(fmt.Errorf("unknown kind %q; %s", args[0], matrix.DidYouMean(args[0], known)))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			sections := registered()
			if len(args) == 1 {
				sections = slices.DeleteFunc(sections, func(s section) bool { return s.Kind != args[0] })
			}
			if asJSON {
				return a.json(sections)
			}
			_, err := io.WriteString(a.Out, printSections(sections, looks(a.Out).Width))
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// registered is what all registries hold.
func registered() []section {
	cat := catalog()
	events := section{Kind: "events", Where: "a watch's event source, with its flags"}
	for _, name := range slices.Sorted(maps.Keys(cat.EventSources)) {
		s := cat.EventSources[name]
		events.Items = append(events.Items, item{name, s.Doc})
		for _, g := range s.Groups {
			events.Items = append(events.Items, item{name + " " + g.Key, strings.Join(slices.Sorted(maps.Keys(g.Flags)), " ")})
		}
	}
	formats := section{Kind: "formats", Where: "-o FORMAT=FILE, report --format"}
	for _, f := range reports.Formats() {
		formats.Items = append(formats.Items, item{f.Name, f.Doc})
	}
	return []section{
		listed("sources", "kernels:", cat.KernelSources, func(s matrix.KernelSource) string { return s.Doc }),
		listed("patches", "build: {patches:}", kernels.Patches(), itself),
		listed("configs", "build: {config:}", kernels.Configs(), itself),
		listed("filesystems", "filesystems:", cat.Filesystems, func(f matrix.Filesystem) string { return f.Doc }),
		listed("scenarios", "scenarios:", cat.Scenarios, func(s matrix.Scenario) string { return s.Doc }),
		events,
		listed("checks", "a watch's check:", cat.Checks, func(c matrix.Check) string { return c.Doc }),
		formats,
	}
}

func listed[T any](kind, where string, registry map[string]T, doc func(T) string) section {
	s := section{Kind: kind, Where: where}
	for _, name := range slices.Sorted(maps.Keys(registry)) {
		s.Items = append(s.Items, item{name, doc(registry[name])})
	}
	return s
}

func itself(doc string) string { return doc }

// printSections lays the sections out in so many columns.
func printSections(sections []section, width int) string {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s (%s)\n", s.Kind, s.Where)
		most := 0
		for _, it := range s.Items {
			most = max(most, len(it.Name))
		}
		for _, it := range s.Items {
			b.WriteString(reports.Fill(it.Doc, fmt.Sprintf("  %-*s  ", most, it.Name), width))
		}
	}
	return b.String()
}
