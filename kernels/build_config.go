package kernels

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"kqual/internal/atomicfile"
	"kqual/matrix"
)

var (
	setOption   = regexp.MustCompile(`^(CONFIG_\w+)=(.+)$`)
	unsetOption = regexp.MustCompile(`^# (CONFIG_\w+) is not set$`)
)

// off is the value of an option that is not set.
const off = "n"

// parseOption reads a line of a .config or of a fragment.
func parseOption(line string) (name, value string, ok bool) {
	line = strings.TrimRight(line, " \t\r")
	if m := setOption.FindStringSubmatch(line); m != nil {
		return m[1], m[2], true
	}
	if m := unsetOption.FindStringSubmatch(line); m != nil {
		return m[1], off, true
	}
	return "", "", false
}

// mergeFragments is what the fragments ask for; later ones win. A line that is
// neither an option nor a comment is an error: make would pass over it.
func mergeFragments(fragments []recipe) (map[string]string, error) {
	wanted := map[string]string{}
	for _, f := range fragments {
		n := 0
		for s := bufio.NewScanner(strings.NewReader(f.body)); s.Scan(); {
			n++
			name, value, ok := parseOption(s.Text())
			if !ok {
				if text := strings.TrimSpace(s.Text()); text != "" && !strings.HasPrefix(text, "#") {
					return nil, &matrix.Failure{
						Side: matrix.SideKernel, Reason: fmt.Sprintf("config fragment %s, line %d: %q is no option", f.name, n, text),
						Hint: "write CONFIG_NAME=y, or # CONFIG_NAME is not set",
					}
				}
				continue
			}
			wanted[name] = value
		}
	}
	return wanted, nil
}

// renderOptions writes options as a .config has them, sorted.
func renderOptions(options map[string]string) string {
	var lines []string
	for name, value := range options {
		if value == off {
			lines = append(lines, "# "+name+" is not set\n")
		} else {
			lines = append(lines, name+"="+value+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// optionPlaces says of each option which line of which fragment decides it.
func optionPlaces(fragments []recipe) map[string]string {
	places := map[string]string{}
	for _, f := range fragments {
		n := 0
		for line := range strings.Lines(f.body) {
			n++
			if name, _, ok := parseOption(strings.TrimSuffix(line, "\n")); ok {
				places[name] = fmt.Sprintf("%s, line %d", f.name, n)
			}
		}
	}
	return places
}

// lostOptions lists what was asked for and a .config does not have, with where
// it was and what there is instead.
func lostOptions(wanted, places map[string]string, config string) []string {
	have := map[string]string{}
	for line := range strings.Lines(config) {
		if name, value, ok := parseOption(strings.TrimSuffix(line, "\n")); ok {
			have[name] = value
		}
	}
	var lost []string
	for name, value := range wanted {
		got, ok := have[name]
		switch {
		case got == value, !ok && value == off:
		case !ok:
			lost = append(lost, fmt.Sprintf("%s=%s of %s (absent)", name, value, places[name]))
		default:
			lost = append(lost, fmt.Sprintf("%s=%s of %s (is %s)", name, value, places[name], got))
		}
	}
	slices.Sort(lost)
	return lost
}

// maxLost is how many options an error names.
const maxLost = 8

// configure makes the .config: allnoconfig with the wanted options over it. It
// does so once, and again where patches have changed what can be configured.
func (t *tree) configure(ctx context.Context) error {
	state, err := t.configState()
	if err != nil {
		return err
	}
	mark := filepath.Join(t.dir, "configured")
	if done, err := os.ReadFile(mark); err == nil && string(done) == state {
		return nil
	}
	defer t.step("configure " + t.source.what)()
	all := filepath.Join(t.dir, "wanted.config")
	if err := os.WriteFile(all, []byte(renderOptions(t.options)), 0o644); err != nil {
		return err
	}
	if err := t.runMake(ctx, "KCONFIG_ALLCONFIG="+all, "allnoconfig"); err != nil {
		return t.failed(err, "configure the kernel")
	}
	config, err := os.ReadFile(filepath.Join(t.src(), ".config"))
	if err != nil {
		return err
	}
	if lost := lostOptions(t.options, t.places, string(config)); len(lost) > 0 {
		names := strings.Join(lost[:min(len(lost), maxLost)], ", ")
		if len(lost) > maxLost {
			names += fmt.Sprintf(" and %d more", len(lost)-maxLost)
		}
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: "options of the config fragments did not stick: " + names,
			Hint: "they depend on options that are off, another option selects them, or this source does not have them",
		}
	}
	return atomicfile.Write(mark, []byte(state))
}

// configState names what the .config is made from, apart from the untouched
// source: the options, and the files that patches changed and that the
// configuration reads.
func (t *tree) configState() (string, error) {
	parts := []string{renderOptions(t.options)}
	names, err := t.touched()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if !strings.HasPrefix(filepath.Base(name), "Kconfig") && !strings.HasPrefix(name, "scripts/kconfig/") {
			continue
		}
		was, err := readFile(filepath.Join(t.pristine(), name))
		if err != nil {
			return "", err
		}
		is, err := readFile(filepath.Join(t.src(), name))
		if err != nil {
			return "", err
		}
		if !was.equal(is) {
			parts = append(parts, name, string(is.data))
		}
	}
	return hashStrings(parts...), nil
}
