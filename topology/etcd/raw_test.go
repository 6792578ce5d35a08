// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func chunkOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	b, err := json.Marshal(chunk{Version: 1, Entries: entries})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStagedEntriesCountFromTheirRecordUntilTheirKeyIsWritten(t *testing.T) {
	const a, b, c = root + "pools/a", root + "pools/b", root + "pools/c"
	r := newRaw()
	want := func(when string, values map[string]string) {
		t.Helper()
		for _, k := range []string{a, b, c} {
			got, ok := r.effective(k)
			if w, there := values[k]; ok != there || string(got.value) != w {
				t.Errorf("%s: %s is %q, %t; want %q", when, k, got.value, ok, w)
			}
		}
	}
	r.put(a, kv{value: []byte("old"), mod: 5})
	r.put(b, kv{value: []byte("old"), mod: 6})
	r.put(stageRoot+"1/000000", kv{mod: 7, value: chunkOf(t,
		entry{Key: a, Base: 5, Value: []byte(`"new"`)}, entry{Key: b, Base: 6, Delete: true}, entry{Key: c, Base: 0, Value: []byte(`"made"`)})})
	want("staged", map[string]string{a: "old", b: "old"})
	r.takeDirty()
	r.put(stageRoot+"1/commit", kv{mod: 8, value: []byte("{}")})
	want("committed", map[string]string{a: `"new"`, c: `"made"`})
	if d := r.takeDirty(); len(d) != 3 {
		t.Errorf("dirty after the record: %v", d)
	}
	r.put(c, kv{value: []byte("direct"), mod: 9})
	want("written directly", map[string]string{a: `"new"`, c: "direct"})
	r.put(a, kv{value: []byte(`"new"`), mod: 10})
	r.remove(b)
	r.remove(stageRoot + "1/000000")
	want("folded", map[string]string{a: `"new"`, c: "direct"})
	r.remove(c)
	want("deleted afterwards", map[string]string{a: `"new"`})
	r.remove(stageRoot + "1/commit")
	want("tidied", map[string]string{a: `"new"`})
	if len(r.over)+len(r.chunks)+len(r.parsed) != 0 || r.bytes != int64(len(a)+5) {
		t.Errorf("left over: %+v, %d bytes", r.over, r.bytes)
	}
}

func TestARecordThatIsListedBeforeOrAfterItsChunksCounts(t *testing.T) {
	const a = root + "pools/a"
	body := kv{mod: 2, value: chunkOf(t, entry{Key: a, Value: []byte(`1`)})}
	rec := kv{mod: 3, value: []byte("{}")}
	for _, first := range []bool{true, false} {
		r := newRaw()
		if first {
			r.put(stageRoot+"1/commit", rec)
		}
		r.put(stageRoot+"1/000000", body)
		if !first {
			r.put(stageRoot+"1/commit", rec)
		}
		if _, ok := r.effective(a); !ok {
			t.Errorf("record first %t: the entry does not count", first)
		}
		r.remove(stageRoot + "1/commit")
		if _, ok := r.effective(a); ok {
			t.Errorf("record first %t: the entry counts without its record", first)
		}
	}
}

func TestMoreThanAReaderTakesIsRefused(t *testing.T) {
	r := newRaw()
	r.put(root+"pools/a", kv{value: make([]byte, 100)})
	if err := r.checkSize(); err != nil {
		t.Error(err)
	}
	r.bytes = maxBytes + 1
	if err := r.checkSize(); !errors.Is(err, errTooMuch) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseChunk(f *testing.F) {
	f.Add([]byte(`{"version":1,"entries":[{"key":"/meridian/v1/pools/a","base":3,"value":{"name":"a"}}]}`))
	f.Add([]byte(`{"version":1,"entries":[{"key":"/meridian/v1/live/lock/apply","base":3,"delete":true}]}`))
	f.Add([]byte(`{"version":1,"entries":[{"key":"elsewhere","base":-3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseChunk(b)
		if err != nil && entries != nil {
			t.Error("entries beside an error")
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Key, root) || strings.HasPrefix(e.Key, liveRoot) || strings.HasPrefix(e.Key, stageRoot) || e.Delete == (len(e.Value) > 0) {
				t.Errorf("took %+v", e)
			}
		}
	})
}

func FuzzLocate(f *testing.F) {
	f.Add("/meridian/v1/drains/node/a")
	f.Add("/meridian/v1/live/nodes/a")
	f.Add("/meridian/v1/apply/1/commit")
	f.Fuzz(func(t *testing.T, s string) {
		k := root + s
		if it, _ := decode(k, kv{value: []byte(`{}`)}); it != nil {
			t.Errorf("%q decodes from nothing", k)
		}
		r := newRaw()
		r.put(k, kv{mod: 1})
		r.remove(k)
		if r.bytes != 0 || len(r.kvs) != 0 {
			t.Errorf("%q leaves %d bytes", k, r.bytes)
		}
	})
}
