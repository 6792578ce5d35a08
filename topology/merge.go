// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Merge returns next with the fields of prev that this program does not know, in objects within it too, so that an older
// program's rewrite loses nothing that a newer one wrote. Items of lists are not merged. A prev that is not a JSON object
// is left out.
func Merge(kind Kind, prev, next []byte) []byte {
	r := New(kind)
	if r == nil {
		return next
	}
	return mergeObject(reflect.TypeOf(r).Elem(), prev, next)
}

// mergeObject merges two objects of which Go knows the form t. It returns next as it is where nothing is to be added.
func mergeObject(t reflect.Type, prev, next []byte) []byte {
	var old, out map[string]json.RawMessage
	if json.Unmarshal(prev, &old) != nil || json.Unmarshal(next, &out) != nil || out == nil {
		return next
	}
	changed := false
	for name, v := range old {
		field, known := fieldNamed(t, name)
		switch {
		case known && !inObject(field.Type):
			continue // next says what it is, or that it is gone
		case known:
			if v = mergeInner(field.Type, v, out[name]); v == nil {
				continue
			}
		case out[name] != nil:
			continue
		}
		out[name], changed = v, true
	}
	if !changed {
		return next
	}
	b, err := json.Marshal(out)
	if err != nil {
		return next
	}
	return b
}

// mergeInner merges an object within a value, which next may leave out. It returns nil where nothing is to be added.
func mergeInner(t reflect.Type, prev, next []byte) json.RawMessage {
	if next == nil {
		next = []byte("{}")
	}
	if out := mergeObject(t, prev, next); string(out) != string(next) {
		return out
	}
	return nil
}

// inObject reports whether values of the type are JSON objects with known fields.
func inObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[Capacity]().PkgPath()
}

// fieldNamed returns the field into which encoding/json decodes name: it takes no notice of case.
func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "-" && strings.EqualFold(tag, name) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}
