// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// ServerConfig says how to run an etcd server of one member.
type ServerConfig struct {
	// Dir is where the data is kept. It is made, with its parents, for the owner only.
	Dir string
	// ClientURL is where clients connect: "http://127.0.0.1:2379".
	ClientURL string
	// PeerURL is where other members would: "http://127.0.0.1:2380". It is bound but nobody uses it in a cluster of one.
	PeerURL string
	// Name is the member's. Empty: "meridian".
	Name string
	// Logger receives the server's warnings and errors. Nil: discarded.
	Logger *slog.Logger
	// Ready is called once clients are served. May be nil.
	Ready func()
}

// Ours.
const (
	serverQuotaBytes   = 2 << 30
	serverRetention    = "1h" // of history, which serves last good values and resumed watches
	serverStartTimeout = time.Minute
)

// RunServer runs the server until ctx is done, with etcd's default limits for transactions. It returns ctx's error after
// an orderly end, else the fault: a port that is taken is named.
func RunServer(ctx context.Context, cfg ServerConfig) error {
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	ec, err := cfg.embed(streams)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("etcd data directory: %w", err)
	}
	e, err := embed.StartEtcd(ec)
	if err != nil {
		return cfg.explain(err)
	}
	// Without this, Close would wait seven seconds for the watches to end by themselves.
	defer func() { endStreams(); e.Close() }()
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-time.After(serverStartTimeout):
		return fmt.Errorf("etcd was not ready within %s; see its log", serverStartTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
	if cfg.Ready != nil {
		cfg.Ready()
	}
	select {
	case err := <-e.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-e.Server.StopNotify():
		return errors.New("etcd stopped by itself; see its log")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// embed translates the configuration. Streams that clients hold open end with streams.
func (cfg ServerConfig) embed(streams context.Context) (*embed.Config, error) {
	client, err := parseURL("client", cfg.ClientURL)
	if err != nil {
		return nil, err
	}
	peer, err := parseURL("peer", cfg.PeerURL)
	if err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, errors.New("etcd data directory: none given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ec := embed.NewConfig()
	ec.Name = "meridian"
	if cfg.Name != "" {
		ec.Name = cfg.Name
	}
	ec.Dir = cfg.Dir
	ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	ec.ListenPeerUrls, ec.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	ec.InitialCluster = ec.InitialClusterFromName(ec.Name)
	ec.QuotaBackendBytes = serverQuotaBytes
	ec.AutoCompactionMode, ec.AutoCompactionRetention = embed.CompactorModePeriodic, serverRetention
	ec.EnableGRPCGateway = false // JSON over HTTP that nobody here uses
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(slogCore{log: cfg.Logger}))
	ec.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.ChainStreamInterceptor(endWith(streams))}
	return ec, nil
}

func parseURL(what, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("etcd %s address %q: want http://HOST:PORT", what, s)
	}
	u.Path = ""
	return u, nil
}

// explain names the port that is taken.
func (cfg ServerConfig) explain(err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("start etcd in %s: %w", cfg.Dir, err)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return fmt.Errorf("start etcd: a port of %s and %s is taken", cfg.ClientURL, cfg.PeerURL)
	}
	_, port, _ := net.SplitHostPort(op.Addr.String())
	return fmt.Errorf("start etcd: port %s is taken (%s)", port, op.Addr)
}

// endWith ends every stream, as seen by its handler, when streams is done.
func endWith(streams context.Context) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancel(ss.Context())
		defer cancel()
		defer context.AfterFunc(streams, cancel)()
		return handler(srv, endingStream{ss, ctx})
	}
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s endingStream) Context() context.Context { return s.ctx }
