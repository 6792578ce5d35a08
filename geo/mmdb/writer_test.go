// SPDX-License-Identifier: Apache-2.0

package mmdb

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// writer makes MMDB files after the MaxMind DB format specification, version 2.0: as much of it as these tests need.
type writer struct {
	version    int // of IP: 4 or 6
	recordBits int // 24, 28 or 32
	built      time.Time
	described  bool
	dbType     string
	nodes      [][2]int // a child is the number of a node, none, or data + an offset
	data       []byte
	offsets    map[string]int
}

const (
	none   = -1
	dataAt = 1 << 32
)

func newWriter(version, recordBits int, built time.Time) *writer {
	return &writer{version: version, recordBits: recordBits, built: built, described: true, dbType: "Test", nodes: [][2]int{{none, none}}, offsets: map[string]int{}}
}

// put adds a network with a record. Networks must not overlap.
func (w *writer) put(t testing.TB, p netip.Prefix, record any) {
	t.Helper()
	w.link(t, p, w.record(record))
}

// record writes a record and returns the child that stands for it; equal records are written once.
func (w *writer) record(record any) int {
	b := encode(record)
	if _, ok := w.offsets[string(b)]; !ok {
		w.offsets[string(b)] = len(w.data)
		w.data = append(w.data, b...)
	}
	return dataAt + w.offsets[string(b)]
}

// link puts child at p.
func (w *writer) link(t testing.TB, p netip.Prefix, child int) {
	t.Helper()
	address, bits := p.Addr().AsSlice(), p.Bits()
	if w.version == 6 && p.Addr().Is4() {
		address, bits = append(make([]byte, 12), address...), bits+96
	}
	at := 0
	for i := range bits - 1 {
		side := address[i/8] >> (7 - i%8) & 1
		if w.nodes[at][side] == none {
			w.nodes[at][side] = len(w.nodes)
			w.nodes = append(w.nodes, [2]int{none, none})
		}
		if at = w.nodes[at][side]; at >= dataAt {
			t.Fatalf("%v lies in another network", p)
		}
	}
	if bits == 0 {
		w.nodes[0] = [2]int{child, child}
		return
	}
	w.nodes[at][address[(bits-1)/8]>>(7-(bits-1)%8)&1] = child
}

// nodeAt returns the node at p, for an alias.
func (w *writer) nodeAt(p netip.Prefix) int {
	at, address := 0, p.Addr().AsSlice()
	for i := range p.Bits() {
		at = w.nodes[at][address[i/8]>>(7-i%8)&1]
	}
	return at
}

func (w *writer) bytes() []byte {
	var out []byte
	for _, n := range w.nodes {
		out = append(out, w.node(w.pointer(n[0]), w.pointer(n[1]))...)
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, w.data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	meta := map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(w.built.Unix()),
		"database_type": w.dbType, "description": map[string]any{}, "ip_version": uint16(w.version), "languages": []any{},
		"node_count": uint32(len(w.nodes)), "record_size": uint16(w.recordBits),
	}
	if w.described {
		meta["description"] = map[string]any{"en": "made by a test"}
	}
	return append(out, encode(meta)...)
}

func (w *writer) pointer(child int) uint32 {
	switch {
	case child == none:
		return uint32(len(w.nodes))
	case child >= dataAt:
		return uint32(len(w.nodes) + 16 + child - dataAt)
	}
	return uint32(child)
}

func (w *writer) node(left, right uint32) []byte {
	l, r := binary.BigEndian.AppendUint32(nil, left), binary.BigEndian.AppendUint32(nil, right)
	switch w.recordBits {
	case 24:
		return slices.Concat(l[1:], r[1:])
	case 28:
		return slices.Concat(l[1:], []byte{l[0]<<4 | r[0]&15}, r[1:])
	}
	return slices.Concat(l, r)
}

// encode writes a value of the data section; the keys of maps in order, so that the same value gives the same bytes.
func encode(v any) []byte {
	switch v := v.(type) {
	case string:
		return append(control(2, len(v)), v...)
	case float64:
		return binary.BigEndian.AppendUint64(control(3, 8), math.Float64bits(v))
	case uint16:
		return binary.BigEndian.AppendUint16(control(5, 2), v)
	case uint32:
		return binary.BigEndian.AppendUint32(control(6, 4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(control(9, 8), v)
	case []any:
		out := control(11, len(v))
		for _, e := range v {
			out = append(out, encode(e)...)
		}
		return out
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		out := control(7, len(v))
		for _, k := range keys {
			out = append(append(out, encode(k)...), encode(v[k])...)
		}
		return out
	}
	panic("mmdb: the test writer cannot write this kind of value")
}

// control writes type and size, up to 284.
func control(kind, size int) []byte {
	var out, extra []byte
	first := byte(min(size, 29))
	if size >= 29 {
		extra = []byte{byte(size - 29)}
	}
	if kind <= 7 {
		out = []byte{byte(kind)<<5 | first}
	} else {
		out = []byte{first, byte(kind - 7)}
	}
	return append(out, extra...)
}
