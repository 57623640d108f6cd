package matrix

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// StrictDecoder is a type that decodes its own YAML node; DecodeStrict calls it
// for every field of such a type. node is never an alias.
type StrictDecoder interface {
	DecodeStrict(node *yaml.Node, path string) Problems
}

// DecodeStrict decodes node into out, a non-nil pointer, and returns every
// problem it finds, in order of lines; what is right is decoded all the same.
// path is the YAML path of node, for messages: kernels[2].debian.
//
// Structs take their keys from `yaml:"name"` tags (`yaml:"-"` skips a field,
// `yaml:",inline"` takes over the keys of a nested struct, no tag means the
// field's name in lower case). A field tagged `kqual:"required"` must be there
// and not be empty. Fields may be strings (numbers and dates are taken as they
// are written: 5.10 stays "5.10"), bools, integers, floats, time.Duration
// ("20s"), slices, maps with string keys, structs, yaml.Node (taken as it is),
// types with a [StrictDecoder], and pointers to all of these, which stay nil
// where the key is absent.
//
// Unknown keys, duplicate keys, wrong types, empty values and merge keys are
// problems. Aliases are followed.
func DecodeStrict(node *yaml.Node, path string, out any) Problems {
	v := reflect.ValueOf(out)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic(fmt.Sprintf("matrix.DecodeStrict: out is %T, want a non-nil pointer", out))
	}
	var d decoder
	d.value(node, path, v.Elem())
	d.problems.sort()
	return d.problems
}

// maxAliasHops bounds a chain of aliases; YAML itself never makes one longer
// than 1.
const maxAliasHops = 8

// resolve follows aliases and steps into a document.
func resolve(node *yaml.Node) *yaml.Node {
	for range maxAliasHops {
		switch {
		case node == nil:
			return nil
		case node.Kind == yaml.AliasNode:
			node = node.Alias
		case node.Kind == yaml.DocumentNode && len(node.Content) == 1:
			node = node.Content[0]
		default:
			return node
		}
	}
	return node
}

var (
	typeDuration = reflect.TypeFor[time.Duration]()
	typeNode     = reflect.TypeFor[yaml.Node]()
	typeDecoder  = reflect.TypeFor[StrictDecoder]()
)

type decoder struct{ problems Problems }

func (d *decoder) problem(line int, path, format string, args ...any) {
	d.problems.add(line, path, format, args...)
}

func (d *decoder) value(raw *yaml.Node, path string, v reflect.Value) {
	node := resolve(raw)
	if node == nil || node.Kind == 0 {
		d.problem(0, path, "is missing; add %s", describeType(v.Type()))
		return
	}
	line := node.Line
	if raw.Kind == yaml.AliasNode {
		line = raw.Line
	}
	if v.Type() == typeNode {
		v.Set(reflect.ValueOf(*node))
		return
	}
	if v.Addr().Type().Implements(typeDecoder) {
		d.problems = append(d.problems, v.Addr().Interface().(StrictDecoder).DecodeStrict(node, path)...)
		return
	}
	if isNull(node) {
		d.problem(line, path, "is empty; give %s or remove the key", describeType(v.Type()))
		return
	}
	if v.Type() == typeDuration {
		d.duration(node, path, v)
		return
	}
	wrong := func() {
		what := describeType(v.Type())
		if v.Kind() == reflect.String && node.Kind == yaml.ScalarNode {
			what += " in quotes" // true, null and the like
		}
		d.problem(line, path, "is %s; write %s", describeNode(node), what)
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(raw, path, p.Elem())
		v.Set(p)
	case reflect.Struct:
		if node.Kind != yaml.MappingNode {
			wrong()
			return
		}
		d.structure(node, path, v)
	case reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			wrong()
			return
		}
		s := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
		for i, c := range node.Content {
			d.value(c, index(path, i), s.Index(i))
		}
		v.Set(s)
	case reflect.Map:
		if node.Kind != yaml.MappingNode {
			wrong()
			return
		}
		d.mapping(node, path, v)
	case reflect.String:
		if !isText(node) {
			wrong()
			return
		}
		v.SetString(node.Value)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(node.Value))
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!bool" || err != nil {
			wrong()
			return
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(node.Value, 0, v.Type().Bits())
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" || err != nil {
			wrong()
			return
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(node.Value, 0, v.Type().Bits())
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" || err != nil {
			wrong()
			return
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(node.Value, v.Type().Bits())
		if tag := node.ShortTag(); node.Kind != yaml.ScalarNode || (tag != "!!float" && tag != "!!int") || err != nil {
			wrong()
			return
		}
		v.SetFloat(f)
	default:
		panic("matrix.DecodeStrict: cannot decode into " + v.Type().String())
	}
}

func (d *decoder) duration(node *yaml.Node, path string, v reflect.Value) {
	if !isText(node) {
		d.problem(node.Line, path, "is %s; write a duration such as 20s or 5m", describeNode(node))
		return
	}
	t, err := time.ParseDuration(node.Value)
	if err != nil {
		d.problem(node.Line, path, "%q is no duration; write a number and a unit such as 20s or 5m", node.Value)
		return
	}
	v.SetInt(int64(t))
}

// structure decodes a mapping whose keys are known.
func (d *decoder) structure(node *yaml.Node, path string, v reflect.Value) {
	fields := fieldsOf(v)
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		known = append(known, f.key)
	}
	present := map[string]bool{}
	d.pairs(node, path, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.problem(key.Line, join(path, key.Value), "%s", unknown("key", key.Value, known))
			return
		}
		present[key.Value] = true
		at := join(path, key.Value)
		before := len(d.problems)
		d.value(value, at, fields[i].value)
		if fields[i].required && len(d.problems) == before && isEmpty(fields[i].value) {
			d.problem(key.Line, at, "must not be empty; give %s", describeType(fields[i].value.Type()))
		}
	})
	for _, f := range fields {
		if f.required && !present[f.key] {
			d.problem(node.Line, join(path, f.key), "is missing; add %s", describeType(f.value.Type()))
		}
	}
}

// mapping decodes a mapping with free keys.
func (d *decoder) mapping(node *yaml.Node, path string, v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		panic("matrix.DecodeStrict: cannot decode into " + v.Type().String())
	}
	m := reflect.MakeMap(v.Type())
	d.pairs(node, path, func(key, value *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(value, join(path, key.Value), e)
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	})
	v.Set(m)
}

// pairs calls f for every key of a mapping that is text and comes first.
func (d *decoder) pairs(node *yaml.Node, path string, f func(key, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]), node.Content[i+1]
		line := node.Content[i].Line
		switch {
		case key.ShortTag() == "!!merge":
			d.problem(line, path, "merge keys (<<) are not supported; write the keys out or alias the whole value")
			continue
		case !isText(key):
			d.problem(line, path, "a key is %s; write text", describeNode(key))
			continue
		}
		if at, ok := first[key.Value]; ok {
			d.problem(line, join(path, key.Value), "duplicate key %q, first on line %d; remove one", key.Value, at)
			continue
		}
		first[key.Value] = line
		f(key, value)
	}
}

// field is one key of a struct.
type field struct {
	key      string
	required bool
	value    reflect.Value
}

func fieldsOf(v reflect.Value) []field {
	var fields []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		name, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		if sf.Type.Kind() == reflect.Struct && slices.Contains(strings.Split(opts, ","), "inline") {
			fields = append(fields, fieldsOf(v.Field(i))...)
			continue
		}
		if name == "" {
			name = strings.ToLower(sf.Name)
		}
		required := slices.Contains(strings.Split(sf.Tag.Get("kqual"), ","), "required")
		fields = append(fields, field{key: name, required: required, value: v.Field(i)})
	}
	return fields
}

func isEmpty(v reflect.Value) bool {
	if e, ok := v.Interface().(interface{ empty() bool }); ok {
		return e.empty()
	}
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isText says whether a scalar may stand for a string: text, and numbers and
// dates, which are taken as they are written.
func isText(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode {
		return false
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!timestamp":
		return true
	}
	return false
}

// describeNode says what a node is: "a list".
func describeNode(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return fmt.Sprintf("the truth value %s", shorten(n.Value))
	case "!!int", "!!float":
		return fmt.Sprintf("the number %s", shorten(n.Value))
	case "!!str", "!!timestamp":
		return fmt.Sprintf("the text %q", shorten(n.Value))
	default:
		return fmt.Sprintf("a value of type %s", tag)
	}
}

// describeType says what is wanted: "a list of texts".
func describeType(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return describeType(t.Elem())
	case t == typeDuration:
		return "a duration such as 20s"
	case t == typeNode:
		return "a value"
	}
	if w, ok := reflect.New(t).Interface().(wanter); ok {
		return w.want()
	}
	switch t.Kind() {
	case reflect.Struct:
		if known := keysOf(t); len(known) > 0 && len(known) <= maxListed {
			return "a mapping with the keys " + strings.Join(known, ", ")
		}
		return "a mapping"
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return "a list of texts"
		case reflect.Struct:
			return "a list of mappings"
		}
		return "a list"
	case reflect.Map:
		return "a mapping"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more"
	}
	return "a whole number"
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(reflect.New(t).Elem()) {
		keys = append(keys, f.key)
	}
	return keys
}

// shorten keeps a quoted value from filling a message.
func shorten(s string) string {
	const longest = 40 // runes
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}

func join(path, key string) string {
	key = shorten(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// sort orders problems by line, then path, then text.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
	})
}

func (ps *Problems) add(line int, path, format string, args ...any) {
	*ps = append(*ps, Problem{Line: line, Path: path, What: fmt.Sprintf(format, args...)})
}

// wanter is a type that says what it is written as.
type wanter interface{ want() string }

func wantOf(p any) string {
	return describeType(reflect.TypeOf(p).Elem())
}
