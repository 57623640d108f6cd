package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Bystander is one further group that watches what the reader watches, with
// flags of its own. It never opens anything: what it changes, it changes by
// being told.
type Bystander struct {
	Source string              `json:"source"` // the reader's event source
	Flags  map[string][]string `json:"flags"`
	Told   Told                `json:"told"`
}

// Told is a bystander's place in the order of telling.
type Told string

// The places of a Bystander.
const (
	ToldBefore Told = "before" // the reader
	ToldAfter  Told = "after"  // the reader
)

// Watch is the bystander's part as a watch of its own.
func (b *Bystander) Watch() Watch {
	return Watch{Source: b.Source, Flags: b.Flags, Check: CheckNone}
}

// String is the bystander as users read it: inotify [IN_DELETE] told before.
func (b *Bystander) String() string {
	var groups []string
	for _, key := range slices.Sorted(maps.Keys(b.Flags)) {
		groups = append(groups, "["+strings.Join(b.Flags[key], ", ")+"]")
	}
	return fmt.Sprintf("%s %s told %s", b.Source, strings.Join(groups, " "), b.Told)
}

// bystander decodes the further group of a watch: one event source and told.
func (p *parser) bystander(node *yaml.Node, path string) *Bystander {
	sources := slices.Sorted(maps.Keys(p.cat.EventSources))
	if node.Kind != yaml.MappingNode {
		p.problem(node.Line, path, "is %s; write a mapping with told and one of %s", describeNode(node), strings.Join(sources, ", "))
		return nil
	}
	before := len(p.problems)
	b := &Bystander{}
	var told at[string]
	p.pairs(node, path, func(key, value *yaml.Node) {
		switch at := join(path, key.Value); {
		case key.Value == "told":
			p.value(value, at, reflectOf(&told))
		case !slices.Contains(sources, key.Value):
			p.problem(key.Line, at, "%s", unknown("key", key.Value, append([]string{"told"}, sources...)))
		case b.Source != "":
			p.problem(key.Line, at, "is a second event source besides %s; a watch has one bystander", b.Source)
		default:
			b.Source = key.Value
			b.Flags = p.flags(p.cat.EventSources[key.Value], resolve(value), at)
		}
	})
	b.Told = Told(told.Value)
	places := []string{string(ToldBefore), string(ToldAfter)}
	switch {
	case len(p.problems) > before:
	case b.Source == "":
		p.problem(node.Line, path, "has no event source; add one of %s", strings.Join(sources, ", "))
	case !told.Set:
		p.problem(node.Line, path, "has no told; add told: before or told: after")
	case !slices.Contains(places, told.Value):
		p.problem(told.Line, path+".told", "%s", unknown("place", told.Value, places))
	}
	return b
}

// companionable reports a bystander whose place in the order of telling beside
// the reader's group could not be found: only groups made alike are ordered
// together.
func (p *parser) companionable(w Watch, line int, path string) {
	b := w.Bystander
	path += ".bystander"
	if b.Source != w.Source {
		p.problem(line, path+"."+b.Source, "is not the event source of the watch; use %s", w.Source)
		return
	}
	if !slices.Equal(slices.Sorted(slices.Values(b.Flags["init"])), slices.Sorted(slices.Values(w.Flags["init"]))) {
		p.problem(line, path+"."+b.Source, "has another init than the watch; give both the same")
		return
	}
	if validate := p.cat.EventSources[b.Source].Validate; validate != nil {
		for _, what := range validate(b.Watch()) {
			p.problem(line, path+"."+b.Source, "%s", what)
		}
	}
}
