// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"

	"meridian/topology"
)

// item is a decoded value in use.
type item struct {
	key   topology.Key
	live  bool
	res   topology.Resource
	value []byte
	mod   int64
	disk  bool // from the last good topology on disk, so perhaps older than what etcd's history has
}

// badValue is a stored value that was not taken.
type badValue struct {
	key      topology.Key
	mod      int64
	mistakes []topology.Mistake
	using    string
}

// view is the decoded state. Only keys whose value changed are decoded again. One owner.
type view struct {
	raw   *raw
	items map[string]*item    // by etcd key: the value in use, which for a bad one is the last good
	bad   map[string]badValue // by etcd key
	// older finds a good value for a key whose present one is bad and of which memory holds none. May be nil.
	older func(ctx context.Context, key string, v kv) *item
	// refused is told once of each bad value. May be nil.
	refused func(key string, b badValue)
}

func newView() *view {
	return &view{raw: newRaw(), items: map[string]*item{}, bad: map[string]badValue{}}
}

// delta is what a refresh changed.
type delta struct {
	changed bool
	gone    map[string]*item // live items whose key vanished
}

// reset replaces the stored state by a newer listing.
func (v *view) reset(ctx context.Context, r *raw) delta {
	for key := range v.items {
		r.dirty[key] = true
	}
	for key := range v.bad {
		r.dirty[key] = true
	}
	v.raw = r
	return v.refresh(ctx)
}

// refresh looks again at every key that may have changed.
func (v *view) refresh(ctx context.Context) delta {
	d := delta{gone: map[string]*item{}}
	for key := range v.raw.takeDirty() {
		v.look(ctx, key, &d)
	}
	return d
}

func (v *view) look(ctx context.Context, key string, d *delta) {
	cur, ok := v.raw.effective(key)
	old := v.items[key]
	b, wasBad := v.bad[key]
	switch {
	case !ok:
		v.drop(key, old, d)
		d.changed = d.changed || wasBad
	case old != nil && bytes.Equal(old.value, cur.value):
		delete(v.bad, key)
		d.changed = d.changed || wasBad || (old.mod != cur.mod && rewriteCounts(old.key))
		old.mod, old.disk = cur.mod, false
	case wasBad && b.mod == cur.mod:
	default:
		v.take(ctx, key, cur, d)
	}
}

// rewriteCounts reports whether writing the same value again is a change: `drain --wait` waits for a snapshot that is
// at least as new as the drain.
func rewriteCounts(k topology.Key) bool { return k.Kind == topology.KindDrain }

func (v *view) drop(key string, old *item, d *delta) {
	delete(v.bad, key)
	if old == nil {
		return
	}
	delete(v.items, key)
	d.changed = true
	if old.live {
		d.gone[key] = old
	}
}

// take decodes a new value and uses it, or keeps the last good one.
func (v *view) take(ctx context.Context, key string, cur kv, d *delta) {
	old := v.items[key]
	next, mistakes := decode(key, cur)
	if next != nil {
		_, wasBad := v.bad[key]
		delete(v.bad, key)
		if old != nil && !rewriteCounts(next.key) && reflect.DeepEqual(old.res, next.res) {
			next.res = old.res
			d.changed = d.changed || wasBad
		} else {
			d.changed = true
		}
		v.items[key] = next
		return
	}
	if (old == nil || old.disk) && v.older != nil {
		if found := v.older(ctx, key, cur); found != nil {
			old, v.items[key] = found, found
		}
	}
	b := badValue{key: locate(key).key, mod: cur.mod, mistakes: mistakes[:min(len(mistakes), 3)], using: "nothing"}
	if old != nil {
		b.using = fmt.Sprintf("the last good value (revision %d)", old.mod)
	}
	v.bad[key] = b
	d.changed = true
	if v.refused != nil {
		v.refused(key, b)
	}
}

// decode reads the value at an etcd key.
func decode(key string, v kv) (*item, []topology.Mistake) {
	a := locate(key)
	live := a.place == placeLive
	if live && !canLive(a.key.Kind) {
		return nil, []topology.Mistake{{Key: a.key, Message: "only nodes and edges may stand below " + liveRoot}}
	}
	res, mistakes := topology.Decode(a.key, v.value)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	switch r := res.(type) {
	case *topology.Node:
		r.Live = live
	case *topology.Edge:
		r.Live = live
	}
	return &item{key: a.key, live: live, res: res, value: v.value, mod: v.mod}, nil
}

// set returns the resources in use: what operators wrote, then the held, then the live, which know themselves best.
func (v *view) set(held map[string]heldItem) topology.Set {
	s := make(topology.Set, len(v.items)+len(held))
	for _, it := range v.items {
		if !it.live {
			s[it.key] = it.res
		}
	}
	for _, h := range held {
		s[h.item.key] = h.item.res
	}
	for _, it := range v.items {
		if it.live {
			s[it.key] = it.res
		}
	}
	return s
}

// maxRefusals bounds the list for people; the counters count all.
const maxRefusals = 1000

// refusals lists the bad values for people.
func (v *view) refusals() []topology.Refusal {
	var out []topology.Refusal
	for _, b := range v.bad {
		for _, m := range b.mistakes {
			out = append(out, refusal(m, b.using))
		}
		if len(out) > 10*maxRefusals { // no more are shown; don't sort a flood of them twenty times a second
			break
		}
	}
	for chunk, err := range v.raw.broken {
		out = append(out, refusal(topology.Mistake{Key: topology.Key{Kind: "apply", Name: chunk}, Message: err.Error()}, "nothing"))
	}
	return sortRefusals(out)
}

func refusal(m topology.Mistake, using string) topology.Refusal {
	m.Key = topology.Key{Kind: topology.Kind(printable(string(m.Key.Kind))), Name: printable(m.Key.Name)}
	m.Message = printable(m.Message)
	return topology.Refusal{Mistake: m, Using: using}
}

func sortRefusals(list []topology.Refusal) []topology.Refusal {
	slices.SortFunc(list, func(a, b topology.Refusal) int {
		return cmp.Or(cmp.Compare(a.Key.Kind, b.Key.Kind), cmp.Compare(a.Key.Name, b.Key.Name), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return list[:min(len(list), maxRefusals)]
}
