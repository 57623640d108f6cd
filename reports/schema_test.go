package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// violations checks a value against the part of JSON Schema that reportSchema
// uses; a keyword that it does not know is one, too.
func violations(root map[string]any, schema map[string]any, v any, path string) (out []string) {
	bad := func(format string, args ...any) { out = append(out, path+": "+fmt.Sprintf(format, args...)) }
	for key, want := range schema {
		switch key {
		case "$schema", "title", "description", "$defs", "format":
		case "$ref":
			def := root["$defs"].(map[string]any)[strings.TrimPrefix(want.(string), "#/$defs/")]
			out = append(out, violations(root, def.(map[string]any), v, path)...)
		case "const":
			if v != want {
				bad("is %v, want %v", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad("is %v, want one of %v", v, want)
			}
		case "type":
			types, ok := want.([]any)
			if !ok {
				types = []any{want}
			}
			if !slices.ContainsFunc(types, func(t any) bool { return isType(v, t.(string)) }) {
				bad("is %T, want %v", v, types)
			}
		case "required":
			object, _ := v.(map[string]any)
			for _, name := range want.([]any) {
				if _, ok := object[name.(string)]; !ok {
					bad("lacks %v", name)
				}
			}
		case "properties":
			object, _ := v.(map[string]any)
			for name, value := range object {
				if s, ok := want.(map[string]any)[name]; ok {
					out = append(out, violations(root, s.(map[string]any), value, path+"."+name)...)
				} else {
					bad("has an undescribed key %s", name)
				}
			}
		case "items":
			list, _ := v.([]any)
			for i, value := range list {
				out = append(out, violations(root, want.(map[string]any), value, fmt.Sprintf("%s[%d]", path, i))...)
			}
		case "additionalProperties":
			object, _ := v.(map[string]any)
			for name, value := range object {
				out = append(out, violations(root, want.(map[string]any), value, path+"."+name)...)
			}
		default:
			bad("the schema uses %s, which this test does not know", key)
		}
	}
	return out
}

func isType(v any, want string) bool {
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == math.Trunc(v)
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}

func parsed(t *testing.T, format string, in Input) map[string]any {
	t.Helper()
	f, err := LookupFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Render(&b, Build(in), Options{}); err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSavedReportsAreAsTheSchemaSays(t *testing.T) {
	schema := parsed(t, "schema", synthetic())
	for name, in := range map[string]Input{"done": synthetic(), "interrupted": interrupted()} {
		if got := violations(schema, schema, parsed(t, "json", in), name); len(got) > 0 {
			t.Errorf("%d violations, first %s", len(got), got[0])
		}
	}
}

func TestSchemaTellsAWrongReport(t *testing.T) {
	schema := parsed(t, "schema", synthetic())
	for name, spoil := range map[string]func(r map[string]any){
		"another version":  func(r map[string]any) { r["schema"] = 2.0 },
		"no gate":          func(r map[string]any) { delete(r, "gate") },
		"an unknown state": func(r map[string]any) { r["state"] = "tired" },
		"a count in words": func(r map[string]any) { r["gate"].(map[string]any)["met"] = "many" },
		"an unknown answer": func(r map[string]any) {
			r["cells"].([]any)[0].(map[string]any)["verdict"].(map[string]any)["kind"] = "fine"
		},
	} {
		r := parsed(t, "json", synthetic())
		spoil(r)
		if len(violations(schema, schema, r, name)) == 0 {
			t.Errorf("the schema takes a report with %s", name)
		}
	}
}
