// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"testing"

	"meridian/topology"
)

func BenchmarkTheSnapshotOfTenThousandNodesAfterOneChange(b *testing.B) {
	c, err := Open(Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	w := c.Watcher(WatcherConfig{Publish: func(*topology.Snapshot) {}})
	r := newRaw()
	for _, res := range fleet(10_000) {
		r.put(desiredKey(res.Key()), kv{value: topology.Encode(res), mod: 1, version: 1})
	}
	w.view.reset(b.Context(), r)
	changed := node(5)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		changed.Weight = 1 + i%2
		r.put(desiredKey(changed.Key()), kv{value: topology.Encode(changed), mod: int64(i + 2), version: 2})
		if d := w.view.refresh(b.Context()); !d.changed {
			b.Fatal("no change")
		}
		w.build()
	}
}
