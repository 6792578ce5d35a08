// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pageKeys is how many keys one answer of a listing holds: large enough for few round trips at 100,000 keys, small
// enough not to hold etcd up.
const pageKeys = 2000

// errTooMuch means that etcd holds more below root than a reader takes.
var errTooMuch = errors.New("the topology in etcd is too large")

// listing is everything below root as of one revision.
type listing struct {
	raw     *raw
	rev     int64
	cluster uint64
}

// list reads everything below root at one revision, in pages.
func (c *Client) list(ctx context.Context) (*listing, error) {
	l := &listing{raw: newRaw()}
	limit := int64(pageKeys)
	for from := root; ; {
		resp, err := c.page(ctx, from, limit, l.rev)
		if status.Code(err) == codes.ResourceExhausted && limit > 1 {
			limit = max(1, limit/8) // very large values: fewer of them at a time
			continue
		}
		if err != nil {
			return nil, c.explain(ctx, "list the topology", err)
		}
		if l.rev == 0 {
			l.rev, l.cluster = resp.Header.Revision, resp.Header.ClusterId
		}
		for _, e := range resp.Kvs {
			l.raw.put(string(e.Key), kvOf(e))
		}
		if err := l.raw.checkSize(); err != nil {
			return nil, err
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return l, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (c *Client) page(ctx context.Context, from string, limit, rev int64) (*clientv3.GetResponse, error) {
	ctx, cancel := c.timeout(ctx)
	defer cancel()
	return c.etcd.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(root)), clientv3.WithLimit(limit), clientv3.WithRev(rev))
}

func kvOf(e *mvccpb.KeyValue) kv {
	return kv{value: e.Value, mod: e.ModRevision, version: e.Version}
}
