// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// An edge whose lease ends without a goodbye may still serve its last snapshot, behind a partition or frozen. So that a drain can be
// waited for until that edge has spoken, each edge leaves a mark without a lease when it registers, and takes it away when it ends. There
// is one mark for each name, whoever has it, so they are as many as there are names of edges; Forget removes that of an edge that will
// not come back.

// seenValue is the value of a mark.
type seenValue struct {
	Version topology.Version `json:"version"`
	Edge    topology.EdgeID  `json:"edge"`
	Lease   string           `json:"lease"` // of the registration: whoever has taken the name over since has another
}

func (r *Registrar) markOf(lease clientv3.LeaseID) string {
	b, err := json.Marshal(seenValue{Edge: topology.EdgeID(r.cfg.Key.Name), Lease: fmt.Sprintf("%x", int64(lease))})
	if err != nil {
		panic("etcd: " + err.Error()) // invariant: strings always encode
	}
	return string(b)
}

// markOps leaves the mark, once for each lease.
func (r *Registrar) markOps(lease clientv3.LeaseID) []clientv3.Op {
	if r.seenKey == "" || r.mark == r.markOf(lease) {
		return nil
	}
	return []clientv3.Op{clientv3.OpPut(r.seenKey, r.markOf(lease))}
}

func (r *Registrar) marked(lease clientv3.LeaseID) {
	if r.seenKey != "" {
		r.mark = r.markOf(lease)
	}
}

// unmark takes the mark away, unless another process has taken the name over. Where etcd does not answer it stays: then nobody knows that
// the edge has ended.
func (r *Registrar) unmark(ctx context.Context) {
	if r.mark == "" {
		return
	}
	own := clientv3.Compare(clientv3.Value(r.seenKey), "=", r.mark)
	if _, err := r.c.etcd.Txn(ctx).If(own).Then(clientv3.OpDelete(r.seenKey)).Commit(); err != nil {
		r.c.log.Debug("the mark of the edge is left", "key", r.seenKey, "err", err)
		return
	}
	r.mark = ""
}

// ErrLive is in the chain of errors that mean that an edge can't be forgotten, since it has a lease.
var ErrLive = errors.New("the edge is running: it has a lease")

// Forget removes the mark of an edge that has ended without a goodbye, and reports whether there was one. From then on no drain waits for
// it. It refuses to forget an edge that has a lease, by ErrLive.
func (c *Client) Forget(ctx context.Context, edge topology.EdgeID) (was bool, err error) {
	absent := clientv3.Compare(clientv3.CreateRevision(edgesRoot+string(edge)), "=", 0)
	resp, err := c.txn(ctx, []clientv3.Cmp{absent}, []clientv3.Op{clientv3.OpDelete(seenRoot + string(edge))}, nil)
	switch {
	case err != nil:
		return false, c.explain(ctx, "forget the edge", err)
	case !resp.Succeeded:
		return false, fmt.Errorf("forget edge %s: %w", edge, ErrLive)
	}
	return resp.Responses[0].GetResponseDeleteRange().Deleted > 0, nil
}

// unseenAfter is for how long an edge that has no lease any more, and of which there is no mark either, is waited for: that is one of an
// older program, or one that has just ended well.
const unseenAfter = 10 * time.Second
