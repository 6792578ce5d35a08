// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"strings"
)

// kv is one stored value.
type kv struct {
	value   []byte
	mod     int64 // revision of the last write
	version int64 // writes since creation; 1: there is no older value
}

// Bounds of what one reader keeps of etcd. Ours; the scale to design for is 120,000 keys.
const (
	maxKeys  = 2_000_000
	maxBytes = 1 << 30
)

// raw is what etcd holds below root, with the committed but not yet folded entries of an apply laid over it. One owner.
type raw struct {
	kvs    map[string]kv
	bytes  int64
	chunks map[string]map[string]bool // apply id -> keys of its chunks
	parsed map[string][]entry         // chunk's key -> its entries, of committed applies
	over   map[string]staged          // key -> the committed entry for it
	dirty  map[string]bool            // keys whose effective value may have changed since takeDirty
	broken map[string]error           // committed chunks that don't parse
}

// staged is an entry in force as long as the key is as the apply found it.
type staged struct {
	entry
	chunk     string
	committed int64 // revision of the record
}

func newRaw() *raw {
	return &raw{
		kvs: map[string]kv{}, chunks: map[string]map[string]bool{}, parsed: map[string][]entry{},
		over: map[string]staged{}, dirty: map[string]bool{}, broken: map[string]error{},
	}
}

// put takes in a written value.
func (r *raw) put(key string, v kv) {
	a := locate(key)
	if a.place == placeIgnored {
		return
	}
	r.bytes += int64(len(key)+len(v.value)) - r.size(key)
	r.kvs[key] = v
	switch a.place {
	case placeChunk:
		if r.chunks[a.id] == nil {
			r.chunks[a.id] = map[string]bool{}
		}
		r.chunks[a.id][key] = true
		r.lift(key)
		r.lay(a.id, key)
	case placeRecord:
		for chunk := range r.chunks[a.id] {
			r.lay(a.id, chunk)
		}
	default:
		r.dirty[key] = true
	}
}

// remove takes in a deletion.
func (r *raw) remove(key string) {
	a := locate(key)
	r.bytes -= r.size(key)
	delete(r.kvs, key)
	switch a.place {
	case placeChunk:
		delete(r.chunks[a.id], key)
		if len(r.chunks[a.id]) == 0 {
			delete(r.chunks, a.id)
		}
		r.lift(key)
	case placeRecord:
		for chunk := range r.chunks[a.id] {
			r.lift(chunk)
		}
	case placeDesired, placeLive:
		r.dirty[key] = true
	}
}

// size is what a key counts for in bytes.
func (r *raw) size(key string) int64 {
	old, ok := r.kvs[key]
	if !ok {
		return 0
	}
	return int64(len(key) + len(old.value))
}

// lay puts a chunk's entries over the values, if its apply is committed.
func (r *raw) lay(id, chunk string) {
	record, ok := r.kvs[stageRoot+id+"/"+recordName]
	if !ok {
		return
	}
	entries, err := parseChunk(r.kvs[chunk].value)
	if err != nil {
		r.broken[chunk] = err
		return
	}
	r.parsed[chunk] = entries
	for _, e := range entries {
		if old, taken := r.over[e.Key]; taken && old.committed > record.mod {
			continue // a newer apply was committed while an older one's entries still lay here
		}
		r.over[e.Key] = staged{e, chunk, record.mod}
		r.dirty[e.Key] = true
	}
}

// lift takes a chunk's entries away.
func (r *raw) lift(chunk string) {
	delete(r.broken, chunk)
	for _, e := range r.parsed[chunk] {
		if r.over[e.Key].chunk == chunk {
			delete(r.over, e.Key)
			r.dirty[e.Key] = true
		}
	}
	delete(r.parsed, chunk)
}

// effective returns the value that readers see at a key.
func (r *raw) effective(key string) (kv, bool) {
	cur, ok := r.kvs[key] // absent: mod 0, which is also the base of a creation
	if s, ok := r.over[key]; ok && s.Base == cur.mod {
		if s.Delete {
			return kv{}, false
		}
		return kv{value: s.Value, mod: s.committed, version: cur.version + 1}, true
	}
	return cur, ok
}

// newest returns the last write, or nil where nothing is stored.
func (r *raw) newest() *anchor {
	var a *anchor
	for key, v := range r.kvs {
		if a == nil || v.mod > a.mod {
			a = &anchor{key, v.mod}
		}
	}
	return a
}

// takeDirty returns the keys to look at again.
func (r *raw) takeDirty() map[string]bool {
	d := r.dirty
	r.dirty = map[string]bool{}
	return d
}

// checkSize refuses more than a reader keeps.
func (r *raw) checkSize() error {
	if len(r.kvs) > maxKeys || r.bytes > maxBytes {
		return fmt.Errorf("%w: %d keys and %d bytes below %s; at most %d and %d", errTooMuch, len(r.kvs), r.bytes, strings.TrimSuffix(root, "/"), maxKeys, maxBytes)
	}
	return nil
}
