// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// Change is what one Apply does.
type Change struct {
	// Put are resources to be there as given. At most 200,000 together with Delete.
	Put []topology.Resource
	// Delete are keys to be gone. One that is not there is passed over.
	Delete []topology.Key
	// Author is who asked, for people who wait for the lock. May be empty.
	Author string
}

// Result is what an Apply did, each list in the order of the Change.
type Result struct {
	// Revision is the one in which the change took effect, or, where nothing was to be done, the one that was read,
	// which no reader need publish.
	Revision                             topology.Revision
	Created, Changed, Unchanged, Deleted []topology.Key
}

// RefusedError means that the topology would be wrong after the change. Nothing was written.
type RefusedError struct{ Mistakes []topology.Mistake }

// Error implements error. It names the first mistake and counts the others.
func (e *RefusedError) Error() string {
	s := "refused: " + e.Mistakes[0].Error()
	if n := len(e.Mistakes) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

const maxChange = 200_000

// Apply makes the change, which every reader sees whole or not at all, or returns a *RefusedError with every mistake, a
// *LockedError if another Apply was under way for 10 seconds, or an error that says whether something may have been
// written. Mistakes that were there before and that the change does not touch don't stop it. Unknown fields of existing
// values are kept; an equal resource is not written. Safe for concurrent use.
func (c *Client) Apply(ctx context.Context, ch Change) (Result, error) {
	if n := len(ch.Put) + len(ch.Delete); n > maxChange {
		return Result{}, fmt.Errorf("apply: %d resources; at most %d at once", n, maxChange)
	}
	l, err := c.lock(ctx, ch.Author)
	if err != nil {
		return Result{}, err
	}
	defer l.release()
	c.at("locked")
	if err := c.tidy(ctx, l); err != nil {
		return Result{}, err
	}
	for range 5 {
		v, rev, err := c.load(ctx)
		if err != nil {
			return Result{}, err
		}
		res, writes, mistakes := plan(v, ch)
		if len(mistakes) > 0 {
			return Result{}, &RefusedError{Mistakes: mistakes}
		}
		if len(writes) == 0 {
			res.Revision = topology.Revision(rev)
			return res, nil
		}
		if rev, err = c.write(ctx, l, ch.Author, writes); errors.Is(err, errMoved) {
			continue // a direct write came between; plan again on what it left
		}
		res.Revision = topology.Revision(rev)
		return res, err
	}
	return Result{}, fmt.Errorf("apply: %w", errBusy)
}

// errMoved means that a key was written directly between reading and writing.
var errMoved = errors.New("a key changed meanwhile")

// Read returns the topology as a reader sees it, refused values replaced by their last good ones as far as etcd's
// history has them, and its revision. References are not checked.
func (c *Client) Read(ctx context.Context) (topology.Set, topology.Revision, error) {
	v, rev, err := c.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	return v.set(nil), topology.Revision(rev), nil
}

func (c *Client) load(ctx context.Context) (*view, int64, error) {
	l, err := c.list(ctx)
	if err != nil {
		return nil, 0, err
	}
	v := newView()
	v.older = c.goodBefore
	hctx, cancel := context.WithTimeout(ctx, maxHistoryListed)
	defer cancel()
	v.reset(hctx, l.raw)
	return v, l.rev, nil
}

// plan works out what to write and whether the result would be right. Pure.
func plan(v *view, ch Change) (Result, []entry, []topology.Mistake) {
	p := planner{v: v, after: v.set(nil), seen: map[topology.Key]bool{}}
	before := p.after.CheckWhole()
	for _, r := range ch.Put {
		p.put(r)
	}
	for _, k := range ch.Delete {
		p.delete(k)
	}
	old := make(map[topology.Mistake]bool, len(before))
	for _, m := range before {
		old[m] = true
	}
	for _, m := range p.after.CheckWhole() {
		if !old[m] || p.seen[m.Key] {
			p.mistakes = append(p.mistakes, m)
		}
	}
	return p.res, p.writes, p.mistakes
}

type planner struct {
	v        *view
	after    topology.Set
	seen     map[topology.Key]bool
	res      Result
	writes   []entry
	mistakes []topology.Mistake
}

func (p *planner) mistake(k topology.Key, format string, args ...any) {
	p.mistakes = append(p.mistakes, topology.Mistake{Key: k, Message: fmt.Sprintf(format, args...)})
}

// once notes a key and refuses a second mention of it.
func (p *planner) once(k topology.Key) bool {
	if p.seen[k] {
		p.mistake(k, "it is named twice in one change")
		return false
	}
	p.seen[k] = true
	return true
}

func (p *planner) put(r topology.Resource) {
	k := r.Key()
	if !p.once(k) {
		return
	}
	if found := topology.Check(r); len(found) > 0 {
		p.mistakes = append(p.mistakes, found...)
	}
	key, value := desiredKey(k), topology.Encode(r)
	if live := p.v.items[liveKey(k)]; live == nil {
		p.after[k] = r
	}
	stored, exists := p.v.raw.kvs[key]
	if v := topology.VersionOf(stored.value); exists && v > topology.ValueVersion {
		p.mistake(k, "etcd holds a value of version %d, which a newer program wrote; upgrade this one, or delete the value first", v)
		return
	}
	if exists {
		value = topology.Merge(k.Kind, stored.value, value)
		if same(p.v, key, r) {
			p.res.Unchanged = append(p.res.Unchanged, k)
			return
		}
	}
	if most := topology.MaxBytes(k.Kind); len(value) > most {
		p.mistake(k, "the value has %d bytes with the unknown fields that are kept; at most %d", len(value), most)
	}
	p.writes = append(p.writes, entry{Key: key, Base: stored.mod, Value: value})
	if exists {
		p.res.Changed = append(p.res.Changed, k)
	} else {
		p.res.Created = append(p.res.Created, k)
	}
}

// same reports whether the stored value is good and says what r says.
func same(v *view, key string, r topology.Resource) bool {
	it := v.items[key]
	if _, bad := v.bad[key]; bad || it == nil {
		return false
	}
	return bytes.Equal(topology.Encode(it.res), topology.Encode(r))
}

func (p *planner) delete(k topology.Key) {
	if !p.once(k) {
		return
	}
	key := desiredKey(k)
	stored, exists := p.v.raw.kvs[key]
	if !exists {
		return
	}
	if p.v.items[liveKey(k)] == nil {
		delete(p.after, k)
	}
	p.writes = append(p.writes, entry{Key: key, Base: stored.mod, Delete: true})
	p.res.Deleted = append(p.res.Deleted, k)
}

// write makes the writes and returns the revision in which they took effect.
func (c *Client) write(ctx context.Context, l *lock, author string, writes []entry) (int64, error) {
	size := 0
	for _, w := range writes {
		size += len(w.Key) + len(w.Value)
	}
	if len(writes) <= maxTxnWrites && size <= maxTxnBytes {
		return c.writeOnce(ctx, l, writes)
	}
	slices.SortFunc(writes, func(a, b entry) int { return strings.Compare(a.Key, b.Key) })
	chunks := cut(writes)
	if err := c.stage(ctx, l, chunks); err != nil {
		return 0, err
	}
	c.at("commit")
	rev, err := c.commit(ctx, l, author, len(chunks))
	if err != nil {
		return 0, err
	}
	c.at("committed")
	if err := c.fold(ctx, l, l.stageID()); err != nil {
		// The change is made. What is left is tidying, which the next apply does.
		c.log.Warn("the change is in effect; the next apply finishes writing it to its keys", "err", err)
	}
	return rev, nil
}

// writeOnce makes all writes in one transaction.
func (c *Client) writeOnce(ctx context.Context, l *lock, writes []entry) (int64, error) {
	cmps, ops := []clientv3.Cmp{l.guard()}, make([]clientv3.Op, 0, len(writes))
	for _, w := range writes {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(w.Key), "=", w.Base))
		ops = append(ops, w.op())
	}
	resp, err := c.txn(ctx, cmps, ops, []clientv3.Op{clientv3.OpGet(lockKey)})
	switch {
	case err != nil:
		return 0, unknownOutcome(c.explain(ctx, "apply", err))
	case resp.Succeeded:
		return resp.Header.Revision, nil
	}
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) == 0 || kvs[0].CreateRevision != l.created {
		return 0, fmt.Errorf("apply: %w", errLockLost)
	}
	return 0, errMoved
}
