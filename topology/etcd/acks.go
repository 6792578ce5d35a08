// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// Ours.
const (
	maxEdges = 10_000 // that one answer lists
	maxAcks  = 10_000 // of one edge
	acksPoll = 150 * time.Millisecond
	// nodesPoll is how often nodes are asked what they have left: a region may have ten thousand.
	nodesPoll = time.Second
)

// acked reads which edges have a lease now, which have left a mark, what each has acknowledged, and with more what stands there. An edge
// whose acknowledgements can't be read counts as one without any.
func (c *Client) acked(ctx context.Context, more ...clientv3.Op) (acked, []*etcdserverpb.ResponseOp, error) {
	resp, err := c.txn(ctx, nil, append([]clientv3.Op{
		clientv3.OpGet(edgesRoot, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(maxEdges)),
		clientv3.OpGet(acksRoot, clientv3.WithPrefix(), clientv3.WithLimit(2*maxEdges)),
	}, more...), nil)
	if err != nil {
		return acked{}, nil, c.explain(ctx, "read acknowledgements", err)
	}
	in := acked{acks: map[topology.EdgeID][]topology.Ack{}}
	for _, kv := range resp.Responses[0].GetResponseRange().Kvs {
		in.live = append(in.live, topology.EdgeID(strings.TrimPrefix(string(kv.Key), edgesRoot)))
	}
	for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
		if name, ok := strings.CutPrefix(string(kv.Key), seenRoot); ok {
			in.seen = append(in.seen, topology.EdgeID(name))
			continue
		}
		edge := strings.TrimPrefix(string(kv.Key), acksRoot)
		if list, ok := parseAck(edge, kv.Value); ok {
			in.acks[topology.EdgeID(edge)] = list
		}
	}
	return in, resp.Responses[2:], nil
}

// Edges returns the edges that have a lease now, and those that had one and have not said goodbye.
func (c *Client) Edges(ctx context.Context) (live, unknown []topology.EdgeID, err error) {
	in, _, err := c.acked(ctx)
	has := map[topology.EdgeID]bool{}
	for _, e := range in.live {
		has[e] = true
	}
	for _, e := range in.seen {
		if !has[e] {
			unknown = append(unknown, e)
		}
	}
	return in.live, unknown, err
}

// parseAck reads one edge's acknowledgements like any stranger's bytes.
func parseAck(edge string, b []byte) ([]topology.Ack, bool) {
	var v acksValue
	if err := json.Unmarshal(b, &v); err != nil || string(v.Edge) != edge || v.Version != topology.ValueVersion || len(v.Acks) > maxAcks {
		return nil, false
	}
	for _, a := range v.Acks {
		if !a.Valid() {
			return nil, false
		}
	}
	return v.Acks, true
}

// Drains returns all drains as they stand, each with how far it is, by name.
func (c *Client) Drains(ctx context.Context) ([]DrainProgress, error) {
	in, more, err := c.acked(ctx, clientv3.OpGet(root+string(topology.KindDrain)+"/", clientv3.WithPrefix(), clientv3.WithLimit(maxAcks)))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var out []DrainProgress
	for _, kv := range more[0].GetResponseRange().Kvs {
		if d := decodeDrain(string(kv.Key), kvOf(kv)); d != nil {
			p, _ := newDrainWait(nil, now).step(d, topology.Revision(kv.ModRevision), in, now)
			out = append(out, p)
		}
	}
	return out, nil
}

// decodeDrain returns the drain that stands at a key, or nil where what stands there is none.
func decodeDrain(key string, v kv) *topology.Drain {
	it, _ := decode(key, v)
	if it == nil {
		return nil
	}
	d, _ := it.res.(*topology.Drain)
	return d
}

// lookDrained reads how a drain stands, and whether there is nobody to be waited for.
func (c *Client) lookDrained(ctx context.Context, name string, w *drainWait) (DrainProgress, bool, error) {
	key := desiredKey(topology.Key{Kind: topology.KindDrain, Name: name})
	in, more, err := c.acked(ctx, clientv3.OpGet(key))
	if err != nil {
		return DrainProgress{}, false, err
	}
	kvs := more[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return DrainProgress{}, false, ErrTakenBack
	}
	d := decodeDrain(key, kvOf(kvs[0]))
	if d == nil {
		return DrainProgress{}, false, fmt.Errorf("what stands at %s is no drain that this program understands", key)
	}
	p, done := w.step(d, topology.Revision(kvs[0].ModRevision), in, time.Now())
	return p, done, nil
}

// busyNodes returns the nodes that a drain covers which report that they still have requests.
func (c *Client) busyNodes(ctx context.Context, t topology.DrainTarget) (out []NodeProgress, err error) {
	from := liveRoot + string(topology.KindNode) + "/"
	opts := []clientv3.OpOption{clientv3.WithLimit(pageKeys)}
	if t.Scope == topology.ScopeNode {
		from += string(t.Node)
	} else {
		opts = append(opts, clientv3.WithRange(clientv3.GetPrefixRangeEnd(from)))
	}
	for {
		resp, err := c.txn(ctx, nil, []clientv3.Op{clientv3.OpGet(from, opts...)}, nil)
		if err != nil {
			return nil, c.explain(ctx, "read the nodes", err)
		}
		page := resp.Responses[0].GetResponseRange()
		for _, kv := range page.Kvs {
			it, _ := decode(string(kv.Key), kvOf(kv))
			if it == nil {
				continue
			}
			if n, ok := it.res.(*topology.Node); ok && t.Covers(n) && n.Load != nil && n.Load.InFlight > 0 {
				out = append(out, NodeProgress{n.Name, n.Load.InFlight})
			}
		}
		if !page.More || len(page.Kvs) == 0 {
			return out, nil
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// sameProgress reports whether two progresses say the same; of a fault only that there is one counts.
func sameProgress(a, b DrainProgress) bool {
	if (a.Fault == nil) != (b.Fault == nil) {
		return false
	}
	a.Fault, b.Fault = nil, nil
	return reflect.DeepEqual(a, b)
}

// ErrTakenBack is in the chain of errors that mean that a drain that was waited for is no more.
var ErrTakenBack = errors.New("the drain was taken back")

// WaitDrained waits until every edge has acknowledged, under its lease, the drain of that name as it stands in etcd, has nothing left there
// and no answer of its in a resolver, and until the nodes that report a load report none. It returns how it stands then: see
// DrainProgress.Complete. An edge whose lease has ended without a goodbye is waited for, too, but for those of ignore. Past the drain's
// deadline it waits only until the edges have said that they have cut the rest, at most 10 seconds. What is waited for is read from etcd
// alone, so that a wait that was interrupted can be begun anew.
//
// progress, if not nil, is called after every change. While etcd does not answer it goes on waiting, and progress says so (Fault); bound
// it by ctx, whose error it returns with the last progress. It ends with ErrTakenBack once the drain is deleted.
func (c *Client) WaitDrained(ctx context.Context, name string, ignore []topology.EdgeID, progress func(DrainProgress)) (DrainProgress, error) {
	w := newDrainWait(ignore, time.Now())
	var last DrainProgress
	for first := true; ; {
		p, done, err := c.lookDrained(ctx, name, w)
		pause := acksPoll
		if err == nil && done && p.Complete() {
			p.Nodes, err = c.busyNodes(ctx, p.Drain.Target())
			done, pause = len(p.Nodes) == 0 || w.isOver(p.Drain, time.Now()), nodesPoll
		}
		switch {
		case errors.Is(err, ErrTakenBack):
			return last, fmt.Errorf("wait for the drain of %s: %w", name, err)
		case err != nil && last.Drain != nil && w.isOver(last.Drain, time.Now().Add(-cutMargin)):
			return last, fmt.Errorf("the deadline of %s has passed, and how far it is can't be seen: %w", name, err)
		case err != nil:
			p, done = last, false
			p.Fault = err
		}
		if progress != nil && ctx.Err() == nil && (first || !sameProgress(p, last)) {
			progress(p)
		}
		last, first = p, false
		if done {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("wait for the drain of %s: %w", name, ctx.Err())
		case <-time.After(pause):
		}
	}
}
