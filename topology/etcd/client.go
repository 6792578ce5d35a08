// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrUnreachable is in the chain of errors that mean that etcd did not answer in time.
var ErrUnreachable = errors.New("etcd does not answer")

// Config says where etcd is. Only Endpoints has no default.
type Config struct {
	// Endpoints are etcd's client addresses: "http://127.0.0.1:2379" or "127.0.0.1:2379". 1 to 16.
	Endpoints []string
	// Dir is where a Watcher keeps the last good topology. Empty: nowhere.
	Dir string
	// Logger receives what an operator should know. Nil: discarded.
	Logger *slog.Logger
	// RequestTimeout bounds one request to etcd. Zero: 5s. 100ms to 1m. Shorter fails sooner on a slow disk.
	RequestTimeout time.Duration
}

// Client is a connection to etcd that is made, and made again, in the background. Safe for concurrent use.
type Client struct {
	// set once, never changed
	cfg     Config
	etcd    *clientv3.Client
	log     *slog.Logger
	lockTTL time.Duration     // of an apply's lock
	fault   func(step string) // called between the steps of an apply; a test's door, else nil
}

// Ours. gRPC's own ceiling between two attempts to connect is 120 s, which would keep a topology change away from an
// edge for two minutes after etcd is back.
const (
	connectBackoffMax = time.Second
	connectTimeout    = 2 * time.Second
	// keepAliveTime is gRPC's least; the watcher's heartbeat finds a silent etcd sooner. keepAliveTimeout also becomes
	// TCP_USER_TIMEOUT, so that with a heartbeat under way a dead path is given up after 2 s.
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 2 * time.Second
	// maxMessageBytes bounds what one answer of etcd may take in memory.
	maxMessageBytes = 256 << 20
)

// Open makes a client. It never waits for etcd and does not need it to be there; an error means that cfg is wrong.
func Open(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 5 * time.Second
	}
	bo := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: connectBackoffMax}
	cli, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Endpoints,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		PermitWithoutStream:  true,
		MaxCallRecvMsgSize:   maxMessageBytes,
		Logger:               zap.NewNop(), // it repeats itself twice a second while etcd is away; Status and our own log say it once
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: bo, MinConnectTimeout: connectTimeout}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd client for %s: %w", strings.Join(cfg.Endpoints, ", "), err)
	}
	return &Client{cfg: cfg, etcd: cli, log: cfg.Logger, lockTTL: 5 * time.Second}, nil
}

func (cfg Config) check() error {
	if n := len(cfg.Endpoints); n < 1 || n > 16 {
		return fmt.Errorf("etcd endpoints: %d given; want 1 to 16, as in http://127.0.0.1:2379", n)
	}
	for _, e := range cfg.Endpoints {
		full := e
		if !strings.Contains(e, "://") {
			full = "http://" + e
		}
		u, err := url.Parse(full)
		if err != nil || u.Port() == "" || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("etcd endpoint %q is not an address; want http://HOST:PORT", e)
		}
	}
	if t := cfg.RequestTimeout; t != 0 && (t < 100*time.Millisecond || t > time.Minute) {
		return fmt.Errorf("etcd request timeout %s is out of bounds; want 100ms to 1m", t)
	}
	return nil
}

// Close ends the connection and everything that still uses it.
func (c *Client) Close() error { return c.etcd.Close() }

// timeout bounds one request.
func (c *Client) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.cfg.RequestTimeout)
}

// explain turns the many ways in which an absent etcd shows into one that a caller can tell and a person can read.
func (c *Client) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.Unavailable,
		errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTimeout):
		return fmt.Errorf("%s: %w at %s (%v)", doing, ErrUnreachable, strings.Join(c.cfg.Endpoints, ", "), err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// txn runs one bounded transaction.
func (c *Client) txn(ctx context.Context, cmps []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := c.timeout(ctx)
	defer cancel()
	return c.etcd.Txn(ctx).If(cmps...).Then(then...).Else(otherwise...).Commit()
}

// at calls the test's door of an apply.
func (c *Client) at(step string) {
	if c.fault != nil {
		c.fault(step)
	}
}
