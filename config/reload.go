// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fixed are the fields that an edge can't change while it runs, with what they are bound to.
var fixed = []struct {
	field string
	of    func(*Edge) any
	why   string
}{
	{"name", func(e *Edge) any { return e.Name }, "the edge is registered by it"},
	{"region", func(e *Edge) any { return e.Region }, "where the edge sends its clients follows from it"},
	{"dns.listen", func(e *Edge) any { return e.DNS.Listen }, "the authority's sockets are opened at the start"},
	{"https.http3", func(e *Edge) any { return e.HTTPS.HTTP3 }, "its sockets are opened with the listeners"},
	{"admin.listen", func(e *Edge) any { return e.Admin.Listen }, "the admin socket is opened at the start"},
	{"etcd.endpoints", func(e *Edge) any { return e.Etcd.Endpoints }, "the topology in use comes from there"},
	{"topology_file", func(e *Edge) any { return e.TopologyFile }, "the topology in use comes from there"},
	{"data_dir", func(e *Edge) any { return e.DataDir }, "the last good topology is kept there"},
}

// ParseReload is ParseEdge for an edge that runs by old: that a field which can't change while it runs has changed is a
// mistake, too.
func ParseReload(old *Edge, file string, b []byte, overrides ...func(*Edge)) (*Edge, []Problem) {
	return parseEdge(file, b, overrides, func(e *Edge) []Problem {
		v := &validator{}
		for _, f := range fixed {
			if was, is := f.of(old), f.of(e); !reflect.DeepEqual(was, is) {
				v.mistake(f.field, "it can't change while the edge runs: %s; restart the edge to go from %v to %v", f.why, clip(fmt.Sprint(was)), clip(fmt.Sprint(is)))
			}
		}
		return v.problems()
	})
}

// Changes returns the fields that differ between two configurations, as paths like "limits.head_timeout", in order.
func Changes(old, new *Edge) []string {
	out := []string{}
	changes(reflect.ValueOf(*old), reflect.ValueOf(*new), "", &out)
	slices.Sort(out)
	return out
}

func changes(a, b reflect.Value, path string, out *[]string) {
	for i, f := range reflect.VisibleFields(a.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == a.Type().PkgPath():
			changes(a.Field(i), b.Field(i), path+name+".", out)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			*out = append(*out, path+name)
		}
	}
}
