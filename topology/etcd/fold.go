// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// tidy finishes or discards what writers left that died: committed chunks are folded, others deleted. Readers see no
// difference either way.
func (c *Client) tidy(ctx context.Context, l *lock) error {
	rctx, cancel := c.timeout(ctx)
	defer cancel()
	got, err := c.etcd.Get(rctx, stageRoot, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(maxKeys))
	if err != nil {
		return c.explain(ctx, "look for unfinished applies", err)
	}
	committed := map[string]bool{}
	for _, kv := range got.Kvs { // in the order of keys, so of ids, so of commits
		a := locate(string(kv.Key))
		if _, seen := committed[a.id]; !seen || a.place == placeRecord {
			committed[a.id] = a.place == placeRecord
		}
	}
	for _, kv := range got.Kvs {
		id := locate(string(kv.Key)).id
		done, left := committed[id]
		if !left {
			continue
		}
		delete(committed, id)
		if done {
			c.log.Warn("finishing an apply that its writer left committed", "id", id)
			err = c.fold(ctx, l, id)
		} else {
			c.log.Warn("discarding an apply that its writer left unfinished", "id", id)
			err = c.guarded(ctx, l, "discard an unfinished apply", clientv3.OpDelete(stageRoot+id+"/", clientv3.WithPrefix()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fold moves a committed apply's entries to their keys, a chunk a transaction, and deletes its record. Each transaction
// also deletes its chunk, so that an entry never counts again after its key was written.
func (c *Client) fold(ctx context.Context, l *lock, id string) error {
	rctx, cancel := c.timeout(ctx)
	defer cancel()
	prefix := stageRoot + id + "/"
	got, err := c.etcd.Get(rctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return c.explain(ctx, "fold", err)
	}
	for _, kv := range got.Kvs {
		if strings.HasSuffix(string(kv.Key), "/"+recordName) {
			continue
		}
		if err := c.foldChunk(ctx, l, string(kv.Key)); err != nil {
			return err
		}
		c.at("folded")
	}
	return c.guarded(ctx, l, "fold", clientv3.OpDelete(prefix+recordName))
}

func (c *Client) foldChunk(ctx context.Context, l *lock, key string) error {
	rctx, cancel := c.timeout(ctx)
	defer cancel()
	got, err := c.etcd.Get(rctx, key)
	if err != nil {
		return c.explain(ctx, "fold", err)
	}
	if len(got.Kvs) == 0 {
		return nil
	}
	entries, err := parseChunk(got.Kvs[0].Value)
	if err != nil { // no reader takes it either; leaving it would stop every later apply
		c.log.Error("deleting a staged chunk that cannot be read", "key", printable(key), "err", err)
		return c.guarded(ctx, l, "delete a broken chunk", clientv3.OpDelete(key))
	}
	for range 5 {
		left, err := c.foldOnce(ctx, l, key, entries)
		if err != nil || left == nil {
			return err
		}
		entries = left // without those that were written directly meanwhile: they win
	}
	return fmt.Errorf("fold %s: %w", key, errBusy)
}

// errBusy means that keys changed under an apply again and again.
var errBusy = errors.New("other writers keep changing the same keys directly; stop them and apply again")

// foldOnce folds the entries if all their keys are at their base, else returns those that are.
func (c *Client) foldOnce(ctx context.Context, l *lock, key string, entries []entry) (left []entry, err error) {
	cmps, ops, reads := []clientv3.Cmp{l.guard()}, []clientv3.Op{clientv3.OpDelete(key)}, []clientv3.Op{clientv3.OpGet(lockKey)}
	for _, e := range entries {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(e.Key), "=", e.Base))
		ops = append(ops, e.op())
		reads = append(reads, clientv3.OpGet(e.Key, clientv3.WithKeysOnly()))
	}
	resp, err := c.txn(ctx, cmps, ops, reads)
	if err != nil {
		return nil, c.explain(ctx, "fold", err)
	}
	if resp.Succeeded {
		return nil, nil
	}
	if r := resp.Responses[0].GetResponseRange(); len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != l.created {
		return nil, fmt.Errorf("fold: %w", errLockLost)
	}
	left = []entry{}
	for i, e := range entries {
		var mod int64
		if kvs := resp.Responses[i+1].GetResponseRange().Kvs; len(kvs) > 0 {
			mod = kvs[0].ModRevision
		}
		if mod == e.Base {
			left = append(left, e)
		}
	}
	return left, nil
}

// op is the entry as an operation on its key.
func (e entry) op() clientv3.Op {
	if e.Delete {
		return clientv3.OpDelete(e.Key)
	}
	return clientv3.OpPut(e.Key, string(e.Value))
}
