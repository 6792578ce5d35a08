// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Ours. How long an apply waits for another one, and how often it looks.
const (
	lockWait = 10 * time.Second
	lockPoll = 100 * time.Millisecond
)

// LockedError means that another apply was under way for the whole time that this one waited.
type LockedError struct {
	Author string    // whose apply it is; may be empty
	Since  time.Time // when it began, by its clock
}

// Error implements error.
func (e *LockedError) Error() string {
	who := e.Author
	if who == "" {
		who = "somebody"
	}
	return fmt.Sprintf("another apply, by %s, has been under way since %s; try again when it has ended", printable(who), e.Since.Format(time.RFC3339))
}

// lock is the right to write desired state. Its fence is the creation revision of its key: a transaction guarded by it
// can't happen once the key's lease has run out.
type lock struct {
	c       *Client
	lease   clientv3.LeaseID
	created int64
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type lockValue struct {
	Author string    `json:"author"`
	Since  time.Time `json:"since"`
}

// lock waits at most lockWait for the lock. The caller releases it.
func (c *Client) lock(ctx context.Context, author string) (*lock, error) {
	rctx, cancel := c.timeout(ctx)
	defer cancel()
	granted, err := c.etcd.Grant(rctx, int64(c.lockTTL/time.Second))
	if err != nil {
		return nil, c.explain(ctx, "lock", err)
	}
	l := &lock{c: c, lease: granted.ID}
	kctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = stop
	l.wg.Go(func() { l.keep(kctx) })
	if err := l.take(ctx, author); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// keep renews the lease until the lock is released.
func (l *lock) keep(ctx context.Context) {
	ch, err := l.c.etcd.KeepAlive(ctx, l.lease)
	if err != nil {
		return // the client is closed; the lease runs out and the guard holds
	}
	for range ch {
	}
}

func (l *lock) take(ctx context.Context, author string) error {
	b, err := json.Marshal(lockValue{Author: author, Since: time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	free := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(lockKey), "=", 0)}
	put := []clientv3.Op{clientv3.OpPut(lockKey, string(b), clientv3.WithLease(l.lease))}
	for deadline := time.Now().Add(lockWait); ; {
		resp, err := l.c.txn(ctx, free, put, []clientv3.Op{clientv3.OpGet(lockKey)})
		if err != nil {
			return l.c.explain(ctx, "lock", err)
		}
		if resp.Succeeded {
			l.created = resp.Header.Revision
			return nil
		}
		if !time.Now().Before(deadline) {
			return lockedBy(resp)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock: %w (%w)", ctx.Err(), lockedBy(resp))
		case <-time.After(lockPoll):
		}
	}
}

func lockedBy(resp *clientv3.TxnResponse) *LockedError {
	var v lockValue
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		_ = json.Unmarshal(kvs[0].Value, &v) // an unreadable value is held by somebody all the same
	}
	return &LockedError{Author: v.Author, Since: v.Since}
}

// guard is true as long as the lock is held.
func (l *lock) guard() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(lockKey), "=", l.created)
}

// release gives the lock up, within a second; where that fails its lease runs out.
func (l *lock) release() {
	l.cancel()
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := l.c.etcd.Revoke(ctx, l.lease); err != nil {
		l.c.log.Debug("the apply's lock is left to run out", "err", err)
	}
}
