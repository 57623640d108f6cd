package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// CheckNone is the check of a watch that names none: the reader just opens.
const CheckNone = "open"

// maxUID is the last number of a user: (uid_t)-1 means "no change" to
// setresuid(2), and 65,534 is nobody on Linux.
const maxUID = 65_534

// watch decodes one watch: name, check, uid, bystander and exactly one event
// source.
func (p *parser) watch(node *yaml.Node, path string) (Watch, bool) {
	sources := slices.Sorted(maps.Keys(p.cat.EventSources))
	if node.Kind != yaml.MappingNode {
		p.problem(node.Line, path, "is %s; write a mapping with name and one of %s", describeNode(node), strings.Join(sources, ", "))
		return Watch{}, false
	}
	before := len(p.problems)
	w := Watch{Check: CheckNone}
	var name, check at[string]
	var uid at[int]
	p.pairs(node, path, func(key, value *yaml.Node) {
		switch at := join(path, key.Value); {
		case key.Value == "name":
			p.value(value, at, reflectOf(&name))
		case key.Value == "check":
			p.value(value, at, reflectOf(&check))
		case key.Value == "uid":
			p.value(value, at, reflectOf(&uid))
		case key.Value == "bystander":
			w.Bystander = p.bystander(resolve(value), at)
		case !slices.Contains(sources, key.Value):
			p.problem(key.Line, at, "%s", unknown("key", key.Value, append([]string{"name", "check", "uid", "bystander"}, sources...)))
		case w.Source != "":
			p.problem(key.Line, at, "is a second event source besides %s; make it a watch of its own", w.Source)
		default:
			w.Source = key.Value
			w.Flags = p.flags(p.cat.EventSources[key.Value], resolve(value), at)
		}
	})
	w.Name = name.Value
	p.mustName(name, node.Line, path)
	if check.Set {
		w.Check = check.Value
		if _, ok := p.cat.Checks[w.Check]; !ok {
			p.problem(check.Line, path+".check", "%s", unknown("check", w.Check, slices.Collect(maps.Keys(p.cat.Checks))))
		}
	}
	if uid.Set {
		w.UID = uid.Value
		if w.UID < 1 || w.UID > maxUID {
			p.problem(uid.Line, path+".uid", "is %d; write a user's number from 1 to %d, or leave it out for root", w.UID, maxUID)
		}
	}
	if w.Source == "" && len(p.problems) == before {
		p.problem(node.Line, path, "has no event source; add one of %s", strings.Join(sources, ", "))
	}
	if len(p.problems) == before {
		p.combination(w, node.Line, path)
	}
	return w, name.Set && name.Value != ""
}

// combination reports what the event source and the check say about a watch
// whose parts are all known.
func (p *parser) combination(w Watch, line int, path string) {
	if validate := p.cat.EventSources[w.Source].Validate; validate != nil {
		for _, what := range validate(w) {
			p.problem(line, path+"."+w.Source, "%s", what)
		}
	}
	if validate := p.cat.Checks[w.Check].Validate; validate != nil {
		if what := validate(w); what != "" {
			p.problem(line, path+".check", "%s", what)
		}
	}
	if w.Bystander != nil {
		p.companionable(w, line, path)
	}
}

// flags decodes the flag groups of an event source: a mapping of lists, or a
// bare list for the only group or the only required one.
func (p *parser) flags(source EventSource, node *yaml.Node, path string) map[string][]string {
	out := map[string][]string{}
	bare := bareGroup(source)
	switch {
	case node.Kind == yaml.SequenceNode && bare != nil:
		p.group(source, *bare, node, path, out)
	case node.Kind != yaml.MappingNode:
		want := "a mapping of lists with the keys " + strings.Join(groupKeys(source), ", ")
		if bare != nil {
			want = "a list of flags such as " + exampleFlags(*bare)
		}
		p.problem(node.Line, path, "is %s; write %s", describeNode(node), want)
		return out
	default:
		p.pairs(node, path, func(key, value *yaml.Node) {
			at := join(path, key.Value)
			i := slices.IndexFunc(source.Groups, func(g FlagGroup) bool { return g.Key == key.Value })
			if i < 0 {
				p.problem(key.Line, at, "%s", unknown("flag group", key.Value, groupKeys(source)))
				return
			}
			p.group(source, source.Groups[i], resolve(value), at, out)
		})
		for _, g := range source.Groups {
			if _, ok := out[g.Key]; g.Required && !ok {
				p.problem(node.Line, path, "has no %s; add %s: %s", g.Key, g.Key, exampleFlags(g))
			}
		}
	}
	return out
}

// group decodes one list of flags into out[g.Key].
func (p *parser) group(source EventSource, g FlagGroup, node *yaml.Node, path string, out map[string][]string) {
	out[g.Key] = nil // present, even where it is wrong
	var list []at[string]
	p.value(node, path, reflectOf(&list))
	if node.Kind == yaml.SequenceNode && len(list) == 0 && g.Required {
		p.problem(node.Line, path, "is an empty list; write %s", exampleFlags(g))
	}
	seen := names{kind: "flag"}
	for i, f := range list {
		if !f.Set {
			continue
		}
		at := index(path, i)
		if _, ok := g.Flags[f.Value]; !ok {
			p.problem(f.Line, at, "%s", unknownFlag(source, g, f.Value))
			continue
		}
		p.unique(&seen, f.Value, f.Line, at)
		out[g.Key] = append(out[g.Key], f.Value)
	}
}

func unknownFlag(source EventSource, g FlagGroup, flag string) string {
	for _, other := range source.Groups {
		if _, ok := other.Flags[flag]; ok {
			return fmt.Sprintf("flag %s is none of %s; move it to %s", flag, g.Key, other.Key)
		}
	}
	return unknown(source.Name+" flag", flag, slices.Collect(maps.Keys(g.Flags)))
}

// bareGroup is the group that a bare list stands for, or nil.
func bareGroup(source EventSource) *FlagGroup {
	if len(source.Groups) == 1 {
		return &source.Groups[0]
	}
	var only *FlagGroup
	for i := range source.Groups {
		if !source.Groups[i].Required {
			continue
		}
		if only != nil {
			return nil
		}
		only = &source.Groups[i]
	}
	return only
}

func groupKeys(source EventSource) []string {
	keys := make([]string, len(source.Groups))
	for i, g := range source.Groups {
		keys[i] = g.Key
	}
	return keys
}

// exampleFlags is a list with a flag of the group, the deciding one if it is
// there.
func exampleFlags(g FlagGroup) string {
	flags := slices.Sorted(maps.Keys(g.Flags))
	for _, f := range flags {
		if strings.HasSuffix(f, "_DELETE") {
			return "[" + f + "]"
		}
	}
	if len(flags) > 0 {
		return "[" + flags[0] + "]"
	}
	return "[FLAG]"
}
