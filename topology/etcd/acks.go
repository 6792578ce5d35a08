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
	// edgeSettles is for how long an edge whose lease has run out is still waited for, and how long WaitDrained waits
	// for a first edge: the leases of all edges run out together when etcd was frozen, while the edges go on serving.
	edgeSettles = 10 * time.Second
)

// Acks returns the edges that have a lease now, what each has acknowledged, and the revision of both. An edge whose
// acknowledgements can't be read counts as one without any.
func (c *Client) Acks(ctx context.Context) (live []topology.EdgeID, acks map[topology.EdgeID][]topology.Ack, rev topology.Revision, err error) {
	resp, err := c.txn(ctx, nil, []clientv3.Op{
		clientv3.OpGet(edgesRoot, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(maxEdges)),
		clientv3.OpGet(acksRoot, clientv3.WithPrefix(), clientv3.WithLimit(maxEdges)),
	}, nil)
	if err != nil {
		return nil, nil, 0, c.explain(ctx, "read acknowledgements", err)
	}
	edges, values := resp.Responses[0].GetResponseRange(), resp.Responses[1].GetResponseRange()
	for _, kv := range edges.Kvs {
		live = append(live, topology.EdgeID(strings.TrimPrefix(string(kv.Key), edgesRoot)))
	}
	return live, parseAcks(values), topology.Revision(resp.Header.Revision), nil
}

func parseAcks(values *etcdserverpb.RangeResponse) map[topology.EdgeID][]topology.Ack {
	acks := map[topology.EdgeID][]topology.Ack{}
	for _, kv := range values.Kvs {
		edge := strings.TrimPrefix(string(kv.Key), acksRoot)
		if list, ok := parseAck(edge, kv.Value); ok {
			acks[topology.EdgeID(edge)] = list
		}
	}
	return acks
}

// parseAck reads one edge's acknowledgements like any stranger's bytes.
func parseAck(edge string, b []byte) ([]topology.Ack, bool) {
	var v acksValue
	if err := json.Unmarshal(b, &v); err != nil || string(v.Edge) != edge || v.Version != topology.ValueVersion || len(v.Acks) > maxAcks {
		return nil, false
	}
	for _, a := range v.Acks {
		if a.InFlight < 0 || a.Streams < 0 || a.Sessions < 0 || a.Cut < 0 || a.Node == "" {
			return nil, false
		}
	}
	return v.Acks, true
}

// lookDrained reads how a drain stands, and whether there still is one.
func (c *Client) lookDrained(ctx context.Context, w *drainWait) (DrainProgress, bool, error) {
	key := desiredKey(topology.Key{Kind: topology.KindDrain, Name: "node/" + string(w.node)})
	resp, err := c.txn(ctx, nil, []clientv3.Op{clientv3.OpGet(key, clientv3.WithCountOnly())}, nil)
	if err != nil {
		return DrainProgress{}, false, c.explain(ctx, "read the drain", err)
	}
	if resp.Responses[0].GetResponseRange().Count == 0 {
		return DrainProgress{}, false, ErrTakenBack
	}
	live, acks, _, err := c.Acks(ctx)
	if err != nil {
		return DrainProgress{}, false, err
	}
	p, done := w.step(live, acks, time.Now())
	return p, done, nil
}

// sameProgress reports whether two progresses say the same; of a fault only that there is one counts.
func sameProgress(a, b DrainProgress) bool {
	if (a.Fault == nil) != (b.Fault == nil) {
		return false
	}
	a.Fault, b.Fault = nil, nil
	return reflect.DeepEqual(a, b)
}

// DrainProgress is how far a drain is.
type DrainProgress struct {
	// Fault is why etcd can't be read at the moment, or nil. The rest is as it was when it last could.
	Fault error
	Edges []EdgeProgress // by name
	// Waiting is how many of the edges have not acknowledged that they are done.
	Waiting int
	// The sums over the edges that have acknowledged.
	InFlight, Streams, Sessions, Cut int
}

// EdgeProgress is one edge's part in a drain.
type EdgeProgress struct {
	Edge topology.EdgeID
	// Live says that the edge has a lease now. An edge is waited for until it has been without one for 10 seconds.
	Live bool
	// Ack is the edge's word on the drain, or nil before it has seen it.
	Ack *topology.Ack
}

// Done reports whether the edge has nothing in flight and no stream at the node, or has cut what was left.
func (e EdgeProgress) Done() bool { return e.Ack != nil && (e.Ack.Quiet() || e.Ack.Done) }

// ErrTakenBack is in the chain of errors that mean that a drain that was waited for is no more.
var ErrTakenBack = errors.New("the drain was taken back")

// WaitDrained waits until every live edge has acknowledged, under its lease, the drain of a node that was written at
// revision since (or a later one) and has nothing left there, and returns how it stands then. progress, if not nil, is
// called after every change. While etcd does not answer it goes on waiting, and progress says so (Fault); bound it by ctx,
// whose error it returns with the last progress. It ends with ErrTakenBack once the drain is deleted.
func (c *Client) WaitDrained(ctx context.Context, node topology.NodeID, since topology.Revision, progress func(DrainProgress)) (DrainProgress, error) {
	w := drainWait{node: node, since: since, began: time.Now(), seen: map[topology.EdgeID]time.Time{}, acks: map[topology.EdgeID]topology.Ack{}}
	var last DrainProgress
	for first := true; ; {
		p, done, err := c.lookDrained(ctx, &w)
		switch {
		case errors.Is(err, ErrTakenBack):
			return last, fmt.Errorf("wait for the drain of node %s: %w", node, err)
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
			return last, fmt.Errorf("wait for the drain of node %s: %w", node, ctx.Err())
		case <-time.After(acksPoll):
		}
	}
}
