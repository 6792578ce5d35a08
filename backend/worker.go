// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ErrCut is in the error of Run when the shutdown deadline cut what was still in flight.
var ErrCut = errors.New("cut at the shutdown deadline")

// Worker serves one toolset. Make it with New; Run it once.
type Worker struct {
	// Set once.
	cfg      Config
	http     *http.Server
	server   *mcp.Server
	eras     eras
	calls    *calls
	work     *work
	conns    *conns
	rate     *rate
	sessions *sessions
	cpu      *cpuMeter

	// standing is done when the standing streams are to end, and calls.cut when every call is.
	standing     context.Context
	endStanding  context.CancelFunc
	cut          context.CancelFunc
	leaving      atomic.Bool // the end has begun; everything is still taken
	refusing     atomic.Bool // nothing new is taken
	listener     net.Listener
	listenerAddr netip.AddrPort
}

// New makes a worker. It opens nothing and starts nothing.
func New(cfg Config) (*Worker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	w := &Worker{cfg: cfg, work: newWork(), conns: &conns{max: int64(cfg.MaxConnections)}, rate: newRate(cfg.Capacity.RPS),
		sessions: newSessions(cfg.MaxSessions), cpu: newCPUMeter(time.Now())}
	w.standing, w.endStanding = context.WithCancel(context.Background())
	var cut context.Context
	cut, w.cut = context.WithCancel(context.Background())
	w.calls = newCalls(cut, cfg.Logger, w.work.signal)
	w.server = w.newServer()
	w.eras = w.newEras(w.server)
	w.http = w.newHTTP()
	return w, nil
}

func (w *Worker) newHTTP() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", w.serveMCP)
	mux.HandleFunc("/mcp/{$}", w.serveMCP)
	mux.HandleFunc("GET /healthz", w.serveHealth)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleConnTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         w.conns.state,
		ErrorLog:          slog.NewLogLogger(w.cfg.Logger.Handler(), slog.LevelDebug), // strangers' broken requests
	}
}

// Listen binds Config.Listen, so that Addr is known before Run. Run calls it if nobody has.
func (w *Worker) Listen() error {
	l, err := net.Listen("tcp", w.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", w.cfg.Listen, err)
	}
	w.listener = l
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		w.listenerAddr = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return nil
}

// Addr returns where the worker listens; it is invalid before Listen.
func (w *Worker) Addr() netip.AddrPort { return w.listenerAddr }

// Close releases what Listen bound, for a worker that never runs.
func (w *Worker) Close() error {
	w.endStanding()
	w.cut()
	if w.listener == nil {
		return nil
	}
	return w.listener.Close()
}

// Run serves until ctx is done, then ends gracefully: Config.Leave; Config.Grace as before; then nothing new is taken, open
// streams are ended, and what is in flight is finished; all within Config.ShutdownDeadline. It returns ctx's error, with
// ErrCut if something was cut, or the reason why it could not serve.
func (w *Worker) Run(ctx context.Context) error {
	defer w.endStanding()
	if w.listener == nil {
		if err := w.Listen(); err != nil {
			return err
		}
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer w.cut() // first, since the background waits for it
	if w.cfg.Toolset == ToolsetConformance {
		background.Go(func() { changeWatched(w.calls.cut, w.server) })
	}
	served := make(chan error, 1)
	go func() { served <- w.http.Serve(w.listener) }()
	select {
	case err := <-served:
		w.release(context.Background())
		return fmt.Errorf("serve on %s: %w", w.listenerAddr, err)
	case <-ctx.Done():
	}
	cut := w.end()
	<-served
	if cut > 0 {
		return fmt.Errorf("%d requests in flight were %w of %s: %w", cut, ErrCut, w.cfg.ShutdownDeadline, ctx.Err())
	}
	return ctx.Err()
}

// inFlight counts requests being served and calls being worked on. A call mostly is one of the requests, so the higher of
// both is the count; they differ by calls whose clients have gone.
func (w *Worker) inFlight() int {
	requests, _ := w.work.counts()
	return max(requests, w.calls.count())
}
