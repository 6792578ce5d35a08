// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"testing"
	"time"

	"meridian/topology"
)

type (
	ackMap = map[topology.EdgeID][]topology.Ack
	ids    = []topology.EdgeID
)

func TestADrainIsNotDoneWhileAnEdgeMayBeServing(t *testing.T) {
	start := time.Unix(1000, 0)
	d := &topology.Drain{Name: "node/n", Created: start, Deadline: start.Add(time.Minute)}
	word := func(a topology.Ack) []topology.Ack {
		a.Drain, a.Created, a.Deadline = d.Name, d.Created, d.Deadline
		return []topology.Ack{{Drain: "node/other", Created: start}, a}
	}
	quiet, busy := word(topology.Ack{}), word(topology.Ack{InFlight: 1})
	cut, asked := word(topology.Ack{Streams: 1, Cut: 4, Done: true}), word(topology.Ack{DNSLeft: 3})
	older := []topology.Ack{{Node: "n", Revision: 5}} // of a program that knows drains of nodes only
	stale := []topology.Ack{{Node: "n", Revision: 4}}
	other := []topology.Ack{{Drain: "node/n", Created: start.Add(-time.Hour), Revision: 9}}
	type step struct {
		after      time.Duration
		live, seen ids
		acks       ackMap
		done       bool
		waiting    int
		unknown    int
	}
	for name, steps := range map[string][]step{
		"every edge is quiet":                {{0, ids{"a", "b"}, ids{"a", "b"}, ackMap{"a": quiet, "b": quiet}, true, 0, 0}},
		"an edge is busy":                    {{0, ids{"a", "b"}, nil, ackMap{"a": quiet, "b": busy}, false, 1, 0}},
		"an edge has not answered":           {{0, ids{"a", "b"}, nil, ackMap{"a": quiet}, false, 1, 0}},
		"an edge has cut the rest":           {{0, ids{"a"}, nil, ackMap{"a": cut}, true, 0, 0}},
		"resolvers still have its answer":    {{0, ids{"a"}, nil, ackMap{"a": asked}, false, 1, 0}},
		"an ack without a lease":             {{0, nil, nil, ackMap{"a": quiet}, false, 0, 0}},
		"an ack of an older program":         {{0, ids{"a"}, nil, ackMap{"a": older}, true, 0, 0}},
		"a stale ack of an older program":    {{0, ids{"a"}, nil, ackMap{"a": stale}, false, 1, 0}},
		"an ack of another drain of it":      {{0, ids{"a"}, nil, ackMap{"a": other}, false, 1, 0}},
		"no edge at first, and then none":    {{0, nil, nil, nil, false, 0, 0}, {unseenAfter, nil, nil, nil, true, 0, 0}},
		"an edge that was gone before":       {{0, ids{"a"}, ids{"a", "b"}, ackMap{"a": quiet}, false, 1, 1}, {time.Hour, nil, ids{"b"}, nil, true, 1, 1}},
		"only an edge that was gone before":  {{0, nil, ids{"b"}, nil, false, 1, 1}, {unseenAfter + 1, nil, ids{"b"}, nil, false, 1, 1}},
		"one that is ignored":                {{0, ids{"a"}, ids{"a", "i"}, ackMap{"a": quiet}, true, 0, 0}},
		"a quiet edge's lease runs out":      {{0, ids{"a", "b"}, ids{"a", "b"}, ackMap{"a": quiet}, false, 1, 0}, {1, ids{"b"}, ids{"a", "b"}, ackMap{"b": quiet}, false, 1, 1}},
		"a busy edge says goodbye":           {{0, ids{"a", "b"}, ids{"a", "b"}, ackMap{"a": quiet, "b": busy}, false, 1, 0}, {1, ids{"a"}, ids{"a"}, ackMap{"a": quiet}, true, 0, 0}},
		"a lease without a mark runs out":    {{0, ids{"a"}, nil, ackMap{"a": busy}, false, 1, 0}, {unseenAfter, nil, nil, nil, false, 1, 1}, {unseenAfter + 1, nil, nil, nil, true, 0, 0}},
		"a quiet edge starts anew":           {{0, ids{"a", "b"}, nil, ackMap{"a": quiet}, false, 1, 0}, {1, ids{"a", "b"}, nil, ackMap{"b": quiet}, false, 1, 0}},
		"a busy edge comes back, and quiet":  {{0, ids{"a"}, ids{"a"}, ackMap{"a": busy}, false, 1, 0}, {1, nil, ids{"a"}, nil, false, 1, 1}, {2, ids{"a"}, ids{"a"}, ackMap{"a": quiet}, true, 0, 0}},
		"the deadline, with one unknown":     {{time.Minute - 1, ids{"a"}, ids{"a", "b"}, ackMap{"a": quiet}, false, 1, 1}, {time.Minute, ids{"a"}, ids{"a", "b"}, ackMap{"a": quiet}, true, 1, 1}},
		"the deadline, with one that hangs":  {{time.Minute, ids{"a"}, nil, ackMap{"a": busy}, false, 1, 0}, {time.Minute + cutMargin, ids{"a"}, nil, ackMap{"a": busy}, true, 1, 0}},
		"an unknown edge whose word we have": {{0, ids{"a", "b"}, ids{"a", "b"}, ackMap{"a": quiet, "b": quiet}, true, 0, 0}, {1, ids{"a"}, ids{"a", "b"}, ackMap{"a": quiet}, false, 1, 1}},
	} {
		w := newDrainWait(ids{"i"}, start)
		for i, s := range steps {
			p, done := w.step(d, 5, acked{live: s.live, seen: s.seen, acks: s.acks}, start.Add(s.after))
			if done != s.done || p.Waiting != s.waiting || p.Unknown != s.unknown {
				t.Errorf("%s, step %d: done %t, %+v", name, i, done, p)
			}
		}
	}
}

func FuzzParseAck(f *testing.F) {
	f.Add([]byte(`{"version":1,"edge":"a","acks":[{"node":"n","revision":3,"in_flight":1,"streams":0,"sessions":2}]}`))
	f.Add([]byte(`{"version":1,"edge":"a","acks":[{"drain":"zone/r/a","created":"2026-11-23T14:00:00Z","dns_left":30}]}`))
	f.Add([]byte(`{"version":2,"edge":"a"}`))
	f.Add([]byte(`{"version":1,"edge":"a","acks":[{"node":"n","in_flight":-1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		acks, ok := parseAck("a", b)
		for _, a := range acks {
			if !ok || a.InFlight < 0 || a.Streams < 0 || a.Node == "" && a.Drain == "" {
				t.Errorf("took %+v", a)
			}
		}
	})
}
