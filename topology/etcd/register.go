// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/topology"
)

// RegistrarConfig says what a process writes about itself.
type RegistrarConfig struct {
	// Key is the node or the edge that the process is.
	Key topology.Key
	// TTL is after how long without a sign of life etcd drops the keys. Zero: 5s. 2s to 10m, whole seconds. Shorter
	// finds a killed process sooner and forgives a shorter pause.
	TTL time.Duration
	// Value returns the value to write: topology.Encode of a *Node or *Edge. It is called by Run's goroutine.
	Value func() []byte
	// Acks returns the drain acknowledgements to write beside it, under the same lease. Only for an edge; nil: none.
	// Called by Run's goroutine.
	Acks func() []topology.Ack
	// MinInterval is the least time between two writes. Zero: 1s. Negative: none. Shorter tells sooner and costs a
	// write to every member's disk.
	MinInterval time.Duration
}

// Registrar keeps a process's own keys in etcd under a lease.
type Registrar struct {
	// set once, never changed
	c       *Client
	cfg     RegistrarConfig
	key     string
	acksKey string // empty: none
	seenKey string // of an edge, empty: none
	touched chan struct{}
	written chan struct{} // closed after the first write

	registered atomic.Bool
	sessions   atomic.Uint64 // leases under which the keys were written

	mark string // what stands at seenKey, written by this process; Run's goroutine's
}

// Ours.
const (
	// registerRetry is how long a registrar waits after a failure: short, because a registration within a second of
	// etcd's return is what keeps a region whole.
	registerRetry = 100 * time.Millisecond
	// registerVerify is how often the keys are written again though nothing changed, should somebody have deleted them.
	registerVerify = 30 * time.Second
)

// Registrar makes a registrar; Run starts it. An error of cfg is returned by Run.
func (c *Client) Registrar(cfg RegistrarConfig) *Registrar {
	if cfg.TTL == 0 {
		cfg.TTL = 5 * time.Second
	}
	if cfg.MinInterval == 0 {
		cfg.MinInterval = time.Second
	}
	r := &Registrar{c: c, cfg: cfg, key: liveKey(cfg.Key), touched: make(chan struct{}, 1), written: make(chan struct{})}
	if cfg.Acks != nil {
		r.acksKey, r.seenKey = acksRoot+cfg.Key.Name, seenRoot+cfg.Key.Name
	}
	return r
}

// Touch asks for the value to be written again, not sooner than MinInterval after the last write. It never blocks.
func (r *Registrar) Touch() {
	select {
	case r.touched <- struct{}{}:
	default: // one is waiting already
	}
}

// Wait returns nil once the keys have been written for the first time, or ctx's error.
func (r *Registrar) Wait(ctx context.Context) error {
	select {
	case <-r.written:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("register %s: %w", r.cfg.Key, ctx.Err())
	}
}

// Registered reports whether the keys stand under a lease that was renewed lately. Safe for concurrent use.
func (r *Registrar) Registered() bool { return r.registered.Load() }

// Run registers, keeps the lease alive and registers anew after every loss, until ctx is done; then it removes the keys,
// within a second. It returns ctx's error, or at once an error that says what is wrong with the configuration.
func (r *Registrar) Run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	told := ""
	for ctx.Err() == nil {
		before := r.sessions.Load()
		err := r.session(ctx)
		r.registered.Store(false)
		if ctx.Err() != nil {
			break
		}
		if reason := err.Error(); reason != told || r.sessions.Load() != before {
			told = reason // once, not again and again while etcd is away
			r.c.log.Warn("not registered in etcd; trying until it works", "key", r.key, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(registerRetry):
		}
	}
	bounded, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.unmark(bounded) // the lease was lost before the end
	return ctx.Err()
}

func (r *Registrar) check() error {
	switch {
	case !canLive(r.cfg.Key.Kind) || r.cfg.Key.Name == "":
		return fmt.Errorf("register %q: only nodes and edges register themselves", r.cfg.Key)
	case r.cfg.TTL < 2*time.Second || r.cfg.TTL > 10*time.Minute || r.cfg.TTL%time.Second != 0:
		return fmt.Errorf("register %s: TTL %s; want 2s to 10m in whole seconds", r.cfg.Key, r.cfg.TTL)
	case r.cfg.Value == nil:
		return fmt.Errorf("register %s: no value to write", r.cfg.Key)
	case r.cfg.Acks != nil && r.cfg.Key.Kind != topology.KindEdge:
		return fmt.Errorf("register %s: only an edge acknowledges drains", r.cfg.Key)
	}
	return nil
}

// session lives as long as one lease.
func (r *Registrar) session(ctx context.Context) (err error) {
	rctx, cancel := r.c.timeout(ctx)
	granted, err := r.c.etcd.Grant(rctx, int64(r.cfg.TTL/time.Second))
	cancel()
	if err != nil {
		return r.c.explain(ctx, "register", err)
	}
	kctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		if !errors.Is(err, errLeaseLost) {
			r.end(granted.ID, ctx.Err() != nil)
		}
	}()
	alive, err := r.c.etcd.KeepAlive(kctx, granted.ID)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if err = r.put(ctx, granted.ID); err != nil {
		return err
	}
	r.registered.Store(true)
	if r.sessions.Add(1) == 1 {
		close(r.written)
	} else {
		r.c.log.Info("registered in etcd again", "key", r.key)
	}
	return r.keep(ctx, granted.ID, alive)
}

// keep writes the value when asked, until the lease is lost.
func (r *Registrar) keep(ctx context.Context, lease clientv3.LeaseID, alive <-chan *clientv3.LeaseKeepAliveResponse) error {
	last := time.Now()
	due := time.NewTimer(registerVerify)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-alive:
			if !ok {
				return errLeaseLost
			}
		case <-r.touched:
			due.Reset(max(0, r.cfg.MinInterval-time.Since(last)))
		case <-due.C:
			err := r.put(ctx, lease)
			if errors.Is(err, ErrUnreachable) {
				due.Reset(registerRetry) // the lease may outlive this; if not, alive is closed
				continue
			}
			if err != nil {
				return err
			}
			last = time.Now()
			due.Reset(registerVerify)
		}
	}
}

var errLeaseLost = errors.New("the lease ran out")

// acksValue is the value of an edge's acknowledgements.
type acksValue struct {
	Version topology.Version `json:"version"`
	Edge    topology.EdgeID  `json:"edge"`
	Acks    []topology.Ack   `json:"acks"`
}

// put writes the keys in one transaction.
func (r *Registrar) put(ctx context.Context, lease clientv3.LeaseID) error {
	value := r.cfg.Value()
	if len(value) > topology.MaxBytes(r.cfg.Key.Kind) {
		return fmt.Errorf("register %s: the value has %d bytes; readers take %d", r.cfg.Key, len(value), topology.MaxBytes(r.cfg.Key.Kind))
	}
	ops := []clientv3.Op{clientv3.OpPut(r.key, string(value), clientv3.WithLease(lease))}
	if r.cfg.Acks != nil {
		b, err := json.Marshal(acksValue{Edge: topology.EdgeID(r.cfg.Key.Name), Acks: append([]topology.Ack{}, r.cfg.Acks()...)})
		if err != nil {
			return fmt.Errorf("register %s: %w", r.cfg.Key, err)
		}
		ops = append(ops, clientv3.OpPut(r.acksKey, string(b), clientv3.WithLease(lease)))
	}
	ops = append(ops, r.markOps(lease)...)
	_, err := r.c.txn(ctx, nil, ops, nil)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errLeaseLost
	}
	if err == nil {
		r.marked(lease)
	}
	return r.c.explain(ctx, "register", err)
}

// end gives the lease back, and with it the keys that still stand under it; another process that has taken the name
// over meanwhile keeps them. Where etcd does not answer within a second, the lease runs out by itself.
func (r *Registrar) end(lease clientv3.LeaseID, goodbye bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if goodbye {
		r.unmark(ctx)
	}
	if _, err := r.c.etcd.Revoke(ctx, lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.c.log.Debug("the lease is left to run out", "key", r.key, "err", err)
	}
}
