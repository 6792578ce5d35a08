// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"testing"
	"time"

	"meridian/topology"
)

type ackMap = map[topology.EdgeID][]topology.Ack

func TestADrainIsNotDoneWhileAnEdgeMayBeServing(t *testing.T) {
	start := time.Unix(1000, 0)
	quiet := []topology.Ack{{Node: "other", Revision: 9}, {Node: "n", Revision: 5}}
	busy := []topology.Ack{{Node: "n", Revision: 5, InFlight: 1}}
	cut := []topology.Ack{{Node: "n", Revision: 5, Streams: 1, Cut: 4, Done: true}}
	type step struct {
		after time.Duration
		live  []topology.EdgeID
		acks  ackMap
		done  bool
	}
	for name, steps := range map[string][]step{
		"every edge is quiet":               {{0, []topology.EdgeID{"a", "b"}, ackMap{"a": quiet, "b": quiet}, true}},
		"an edge is busy":                   {{0, []topology.EdgeID{"a", "b"}, ackMap{"a": quiet, "b": busy}, false}},
		"an edge has not answered":          {{0, []topology.EdgeID{"a", "b"}, ackMap{"a": quiet}, false}},
		"an edge has cut the rest":          {{0, []topology.EdgeID{"a"}, ackMap{"a": cut}, true}},
		"an ack without a lease":            {{0, nil, ackMap{"a": quiet}, false}},
		"no edge at first, and then none":   {{0, nil, nil, false}, {edgeSettles, nil, nil, true}},
		"a busy edge's lease runs out":      {{0, []topology.EdgeID{"a"}, ackMap{"a": busy}, false}, {edgeSettles, nil, nil, false}, {edgeSettles + 1, nil, nil, true}},
		"a quiet edge's lease runs out":     {{0, []topology.EdgeID{"a", "b"}, ackMap{"a": quiet}, false}, {1, []topology.EdgeID{"b"}, ackMap{"b": quiet}, true}},
		"a quiet edge starts anew":          {{0, []topology.EdgeID{"a", "b"}, ackMap{"a": quiet}, false}, {1, []topology.EdgeID{"a", "b"}, ackMap{"b": quiet}, false}},
		"a busy edge comes back, and quiet": {{0, []topology.EdgeID{"a"}, ackMap{"a": busy}, false}, {1, nil, nil, false}, {2, []topology.EdgeID{"a"}, ackMap{"a": quiet}, true}},
	} {
		w := drainWait{node: "n", since: 5, began: start, seen: map[topology.EdgeID]time.Time{}, acks: map[topology.EdgeID]topology.Ack{}}
		for i, s := range steps {
			if p, done := w.step(s.live, s.acks, start.Add(s.after)); done != s.done {
				t.Errorf("%s, step %d: done %t, %+v", name, i, done, p)
			}
		}
	}
}

func FuzzParseAck(f *testing.F) {
	f.Add([]byte(`{"version":1,"edge":"a","acks":[{"node":"n","revision":3,"in_flight":1,"streams":0,"sessions":2}]}`))
	f.Add([]byte(`{"version":2,"edge":"a"}`))
	f.Add([]byte(`{"version":1,"edge":"a","acks":[{"node":"n","in_flight":-1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		acks, ok := parseAck("a", b)
		for _, a := range acks {
			if !ok || a.InFlight < 0 || a.Streams < 0 || a.Node == "" {
				t.Errorf("took %+v", a)
			}
		}
	})
}
