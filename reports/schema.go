package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
)

func init() {
	register(Format{
		Name: "schema", Doc: "JSON Schema of the json format, whatever the report",
		Render: func(w io.Writer, _ *Report, _ Options) error {
			data, err := json.MarshalIndent(reportSchema(), "", "  ")
			if err != nil {
				return fmt.Errorf("encode the schema: %w", err)
			}
			_, err = w.Write(append(data, '\n'))
			return err
		},
	})
}

// enums are the values of the string types that have a closed set.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[State]():              {string(StateRunning), string(StateInterrupted), string(StateDone)},
	reflect.TypeFor[matrix.VerdictKind](): kindNames(),
	reflect.TypeFor[matrix.GateState](): {
		string(matrix.GateMet), string(matrix.GateUnmet), string(matrix.GateNoAnswer), string(matrix.GateNoRule), string(matrix.GateWaived),
	},
	reflect.TypeFor[matrix.Status](): {string(matrix.Measured), string(matrix.Unsupported), string(matrix.Failed)},
	reflect.TypeFor[matrix.Order]():  {string(matrix.Early), string(matrix.Late), string(matrix.NotApplicable), string(matrix.NoOrder)},
}

func kindNames() []string {
	var out []string
	for _, k := range matrix.VerdictKinds() {
		out = append(out, string(k))
	}
	return out
}

// reportSchema is the JSON Schema (draft 2020-12) of a saved report, made from
// the types that are saved. A key without omitempty is required. Further keys
// are allowed, as a reader of this version skips them.
func reportSchema() map[string]any {
	s := schema{defs: map[string]any{}}
	root := s.object(reflect.TypeFor[Report]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "kqual report"
	root["description"] = "Durations are nanoseconds, rates are in [0, 1]."
	root["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
	root["$defs"] = s.defs
	return root
}

type schema struct{ defs map[string]any }

// of is the schema of a type; structs are referred to.
func (s schema) of(t reflect.Type) map[string]any {
	if values, ok := enums[t]; ok {
		return map[string]any{"type": "string", "enum": values}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		name := strings.ReplaceAll(t.String(), ".", "-")
		if _, done := s.defs[name]; !done {
			s.defs[name] = true // ends a recursion
			s.defs[name] = s.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	case reflect.Slice:
		// A nil slice is saved as null.
		return map[string]any{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	panic("no schema for " + t.String())
}

func (s schema) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := s.fields(t, properties)
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

// fields adds the properties of a struct, those of embedded ones included, and
// returns the names of the required ones.
func (s schema) fields(t reflect.Type, into map[string]any) (required []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && name == "":
			inner := map[string]any{}
			required = append(required, s.fields(f.Type, inner)...)
			maps.Copy(into, inner)
			continue
		case !f.IsExported() || tag == "-":
			continue
		case name == "":
			name = f.Name
		}
		into[name] = s.of(f.Type)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return required
}
