// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills Go values from a plain YAML tree by the names in their json tags. It is stricter than the YAML package's
// own: nothing is converted, no field is passed over, and a mistake does not end the decoding.
type decoder struct {
	*report
	fields map[reflect.Type]map[string]int // index of a struct's field by name
}

func newDecoder(r *report) *decoder {
	return &decoder{r, map[reflect.Type]map[string]int{}}
}

func (d *decoder) at(n *yaml.Node, field, format string, args ...any) {
	d.add(n.Line, n.Column, field, format, args...)
}

// value decodes n into v. An empty value of a list, map or struct stands for none.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, u, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.dict(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) || !d.isKind(n, yaml.MappingNode, path, "fields") {
		return
	}
	fields := d.fieldsOf(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node, field string) {
		i, ok := fields[key.Value]
		if !ok {
			d.at(key, field, "there is no such field%s", didYouMean(key.Value, fields))
			return
		}
		d.value(value, v.Field(i), field)
	})
}

func (d *decoder) dict(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) || !d.isKind(n, yaml.MappingNode, path, "fields") {
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Content)/2)
	d.pairs(n, path, func(key, value *yaml.Node, field string) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(value, item, field)
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
	})
	v.Set(m)
}

// pairs calls f for each key of a mapping that is text and comes for the first time.
func (d *decoder) pairs(n *yaml.Node, path string, f func(key, value *yaml.Node, field string)) {
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !d.dropped; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			d.at(key, path, "the field's name is %s; want text (quote it if it is meant)", got(key))
			continue
		}
		field := join(path, key.Value)
		if line, twice := seen[key.Value]; twice {
			d.at(key, field, "the field is already on line %d; remove one", line)
			continue
		}
		seen[key.Value] = key.Line
		f(key, value, field)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) || !d.isKind(n, yaml.SequenceNode, path, "a list") {
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		if d.dropped {
			return
		}
		d.value(item, out.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
	v.Set(out)
}

func (d *decoder) isKind(n *yaml.Node, k yaml.Kind, path, want string) bool {
	if n.Kind != k {
		d.at(n, path, "%s does not fit; want %s", got(n), want)
	}
	return n.Kind == k
}

// text decodes a type that reads itself, such as a duration, an address or a time.
func (d *decoder) text(n *yaml.Node, u encoding.TextUnmarshaler, path string) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.at(n, path, "%s does not fit; want %s", got(n), wantText(u))
		return
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil {
		message := err.Error()
		switch u.(type) {
		case *netip.Addr, *netip.Prefix, *time.Time:
			message = fmt.Sprintf("%q is not %s", clip(n.Value), wantText(u))
		}
		d.at(n, path, "%s", message)
	}
}

func wantText(u encoding.TextUnmarshaler) string {
	switch u.(type) {
	case *netip.Addr:
		return "an IP address, as in 192.0.2.7 or 2001:db8::7"
	case *netip.Prefix:
		return "a prefix of IP addresses, as in 10.0.0.0/8 or 2001:db8::/32"
	case *time.Time:
		return "a time, as in 2026-11-23T14:00:00Z"
	}
	return "a duration, as in 500ms, 10s or 5m"
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	tag := ""
	if n.Kind == yaml.ScalarNode {
		tag = n.ShortTag()
	}
	want, ok := "", false
	switch v.Kind() {
	case reflect.String:
		if want, ok = "text", tag == "!!str" || tag == "!!timestamp"; ok {
			v.SetString(n.Value)
		} else if tag != "" && tag != "!!null" {
			want = "text (quote it)"
		}
	case reflect.Bool:
		if want, ok = "true or false", tag == "!!bool"; ok {
			v.SetBool(n.Value == "true" || n.Value == "True" || n.Value == "TRUE")
		}
	case reflect.Int, reflect.Int64:
		var i int64
		if want = "a whole number in decimal digits"; tag == "!!int" {
			i, ok = integer(n.Value)
			v.SetInt(i)
		}
	case reflect.Float64:
		var f float64
		if want = "a number"; tag == "!!float" || tag == "!!int" {
			f, ok = number(n.Value)
			v.SetFloat(f)
		}
	default:
		panic("config: no YAML form for " + v.Type().String()) // invariant: a test decodes every field of every type
	}
	if !ok {
		d.at(n, path, "%s does not fit; want %s", got(n), want)
	}
}

// integer reads a decimal number. 010 and 1_000, on whose meaning readers of YAML differ, are refused.
func integer(s string) (int64, bool) {
	i, err := strconv.ParseInt(s, 10, 64)
	digits := strings.TrimLeft(s, "+-")
	return i, err == nil && (digits == "0" || digits[0] != '0')
}

func number(s string) (float64, bool) {
	if digits := strings.TrimLeft(s, "+-"); len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e' {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) && !strings.Contains(s, "_")
}

// got names what stands in the file.
func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "an empty value"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return clip(n.Value)
	}
	return fmt.Sprintf("the text %q", clip(n.Value))
}

func (d *decoder) fieldsOf(t reflect.Type) map[string]int {
	if f, ok := d.fields[t]; ok {
		return f
	}
	f := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			f[name] = i
		}
	}
	d.fields[t] = f
	return f
}

// join appends a field's name to a path. A name that is not a plain word is quoted, since it may hold anything.
func join(path, name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f {
			name = strconv.Quote(name)
			break
		}
	}
	if path == "" {
		return clip(name)
	}
	return path + "." + clip(name)
}
