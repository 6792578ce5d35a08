// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bounds of a walk through etcd's history. Ours: a few bad writes in a row are a person's, more are an attack, and the
// first snapshot must not wait for it.
const (
	maxHistorySteps  = 8
	maxHistoryListed = time.Second // for all keys of one refresh together
)

// goodBefore returns the newest good value that the key had before v, as far as etcd still knows, or nil.
func (c *Client) goodBefore(ctx context.Context, key string, v kv) *item {
	for range maxHistorySteps {
		if v.version <= 1 || ctx.Err() != nil {
			return nil
		}
		resp, err := c.etcd.Get(ctx, key, clientv3.WithRev(v.mod-1))
		if err != nil || len(resp.Kvs) == 0 {
			return nil // compacted, unreachable, or created by the bad write
		}
		v = kvOf(resp.Kvs[0])
		if it, _ := decode(key, v); it != nil {
			return it
		}
	}
	return nil
}
