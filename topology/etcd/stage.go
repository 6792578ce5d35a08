// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bounds of one transaction and of one chunk. Ours, below etcd's defaults of 128 operations and 1.5 MiB.
const (
	maxTxnWrites  = 100
	maxTxnBytes   = 1 << 20
	maxChunkBytes = 512 << 10 // of values; their JSON around them comes on top
)

// entry is one write of an apply, as staged.
type entry struct {
	Key string `json:"key"`
	// Base is the key's mod revision when the apply read it; 0: it was absent. The entry counts only while it still is.
	Base   int64           `json:"base"`
	Value  json.RawMessage `json:"value,omitempty"`
	Delete bool            `json:"delete,omitempty"`
}

// chunk is the value of a chunk's key.
type chunk struct {
	Version int     `json:"version"`
	Entries []entry `json:"entries"`
}

// record is the value of a commit record. Readers look only at its being there.
type record struct {
	Version int       `json:"version"`
	Author  string    `json:"author,omitempty"`
	At      time.Time `json:"at"`
	Chunks  int       `json:"chunks"`
}

// parseChunk reads a chunk and checks it like any stranger's bytes.
func parseChunk(b []byte) ([]entry, error) {
	var c chunk
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("staged chunk: %w", err)
	}
	if c.Version != 1 {
		return nil, fmt.Errorf("staged chunk: version %d is not known to this program; want 1", c.Version)
	}
	if len(c.Entries) > maxTxnWrites {
		return nil, fmt.Errorf("staged chunk: %d entries; at most %d", len(c.Entries), maxTxnWrites)
	}
	for _, e := range c.Entries {
		if locate(e.Key).place != placeDesired || !strings.HasPrefix(e.Key, root) {
			return nil, fmt.Errorf("staged chunk: %q is not a key of desired state", printable(e.Key))
		}
		if e.Delete == (len(e.Value) > 0) || e.Base < 0 {
			return nil, fmt.Errorf("staged chunk: the entry for %q is neither one write nor one deletion", printable(e.Key))
		}
	}
	return c.Entries, nil
}

// cut splits the writes into chunks that each fit into one transaction.
func cut(writes []entry) [][]entry {
	var out [][]entry
	start, size := 0, 0
	for i, w := range writes {
		if i > start && (i-start == maxTxnWrites || size+len(w.Value)+len(w.Key) > maxChunkBytes) {
			out = append(out, writes[start:i])
			start, size = i, 0
		}
		size += len(w.Value) + len(w.Key)
	}
	return append(out, writes[start:])
}

// stageID names an apply: its lock's creation revision, so that no two applies share one.
func (l *lock) stageID() string { return fmt.Sprintf("%016x", l.created) }

// stage writes the chunks, none of which counts before commit.
func (c *Client) stage(ctx context.Context, l *lock, chunks [][]entry) error {
	for i, entries := range chunks {
		b, err := json.Marshal(chunk{Version: 1, Entries: entries})
		if err != nil {
			return fmt.Errorf("stage chunk %d: %w", i, err)
		}
		key := fmt.Sprintf("%s%s/%06d", stageRoot, l.stageID(), i)
		if err := c.guarded(ctx, l, fmt.Sprintf("stage chunk %d of %d", i+1, len(chunks)), clientv3.OpPut(key, string(b))); err != nil {
			return err
		}
		c.at("staged")
	}
	return nil
}

// commit makes all chunks count in one revision and returns it. That every chunk is there follows from the lock: only
// its holder deletes chunks, and a former holder's transactions fail.
func (c *Client) commit(ctx context.Context, l *lock, author string, chunks int) (int64, error) {
	b, err := json.Marshal(record{Version: 1, Author: author, At: time.Now().UTC(), Chunks: chunks})
	if err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	key := stageRoot + l.stageID() + "/" + recordName
	resp, err := c.txn(ctx, []clientv3.Cmp{l.guard()}, []clientv3.Op{clientv3.OpPut(key, string(b))}, nil)
	if err == nil && !resp.Succeeded {
		return 0, errLockLost
	}
	if err == nil {
		return resp.Header.Revision, nil
	}
	// The transaction may have happened. Ask, also when the caller has given up: the answer decides what to tell.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	got, askErr := c.etcd.Get(ask, key)
	switch {
	case askErr != nil:
		return 0, unknownOutcome(c.explain(ctx, "commit", err))
	case len(got.Kvs) > 0:
		return got.Kvs[0].ModRevision, nil
	}
	return 0, c.explain(ctx, "commit", err)
}

// unknownOutcome says that a write may or may not have happened.
func unknownOutcome(err error) error {
	return fmt.Errorf("it is not known whether the change was made (whole or not at all); look before trying again: %w", err)
}

// errLockLost means that another apply may be under way, so that nothing more may be written by this one.
var errLockLost = errors.New("the apply's lock was lost (its lease ran out); nothing more was written")

// guarded runs operations in one transaction that happens only under the lock.
func (c *Client) guarded(ctx context.Context, l *lock, doing string, ops ...clientv3.Op) error {
	resp, err := c.txn(ctx, []clientv3.Cmp{l.guard()}, ops, nil)
	if err != nil {
		return c.explain(ctx, doing, err)
	}
	if !resp.Succeeded {
		return fmt.Errorf("%s: %w", doing, errLockLost)
	}
	return nil
}
