// SPDX-License-Identifier: Apache-2.0

// Package admin serves an edge's admin address: liveness and readiness, metrics, and the API behind `edge status`,
// `edge get` and `edge explain`; and, to this machine only, profiles for `go tool pprof`. It only reads, but for the reload of the edge's own configuration; what changes the
// topology goes through etcd. It is never on the way of a client's request, and leaves every answer to the functions that the wiring gives it.
//
// Server.Run owns all of the package's goroutines.
//
//	s := admin.New(admin.Config{Listen: "127.0.0.1:9090", Status: edge.Status, Metrics: edge.WriteMetrics})
//	if err := s.Listen(); err != nil { return err }
//	return s.Run(ctx)
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"meridian/topology"
)

// Config says what the server answers with. Every function must be set and safe for concurrent use.
type Config struct {
	// Listen is IP:PORT. Whoever reaches it can read the topology: keep it on loopback or a private network.
	Listen string
	// Ready says whether the edge should get traffic, and if not, why.
	Ready func() (ready bool, reason string)
	// Report is what other edges get in answer to their probes; nil fails them.
	Report func() *topology.Report
	// Status, Get, ExplainDNS and ExplainHTTP are the API.
	Status      func() Status
	Get         func(topology.Kind) []Item
	ExplainDNS  func(name string, from netip.Addr) (DNSExplanation, error)
	ExplainHTTP func(method string, u *url.URL) (HTTPExplanation, error)
	// ExplainRequest returns what is known of the requests with an id, nothing for an unknown one.
	ExplainRequest func(id string) []RequestExplanation
	// Reload puts the configuration file in force as it is now: what changed, or every mistake.
	Reload func() (changed, mistakes []string)
	// Metrics writes every metric in Prometheus' text format.
	Metrics func(io.Writer)
}

// Server answers on the admin address.
type Server struct {
	cfg Config
	ln  net.Listener
}

// New returns a server. It binds nothing yet.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// Listen binds the address.
func (s *Server) Listen() error {
	ln, err := net.Listen("tcp", s.cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("admin: %s is taken by another program; free it or change admin.listen", s.cfg.Listen)
	}
	if err != nil {
		return fmt.Errorf("admin: listen on %s: %w", s.cfg.Listen, err)
	}
	s.ln = ln
	return nil
}

// Addr returns the address that Listen has bound.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// shutdownGrace is how long a reader of the API may take to get the rest of its answer at the end.
const shutdownGrace = time.Second

// Run serves until ctx ends, and returns when nothing is left running. The error is never nil.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         bound(maxConnections),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("admin: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if srv.Shutdown(end) != nil {
		srv.Close()
	}
	<-served
	return ctx.Err()
}

// maxConnections bounds the connections, so that nobody takes the descriptors that clients of the edge need. Ours: 20
// other edges, a few scrapers and operators.
const maxConnections = 512

// bound returns a hook that closes every connection beyond the bound.
func bound(most int64) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if open.Add(1) > most {
				c.Close() // the server sees it closed, and says so with StateClosed
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}

// Handler returns the whole API behind its guards.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("/readyz", s.ready)
	mux.HandleFunc("/metrics", s.metrics)
	mux.HandleFunc("/api/v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.cfg.Status()) })
	mux.HandleFunc("/api/v1/report", s.report)
	mux.HandleFunc("/api/v1/resources/{kind}", s.list)
	mux.HandleFunc("/api/v1/resources/{kind}/{name...}", s.get)
	mux.HandleFunc("/api/v1/explain/dns", s.explainDNS)
	mux.HandleFunc("/api/v1/explain/http", s.explainHTTP)
	mux.HandleFunc("/api/v1/explain/request", s.explainRequest)
	mux.HandleFunc(reloadPath, s.reload)
	mux.HandleFunc(pprofPath+"profile", onlyHere(cpuProfile))
	mux.HandleFunc(pprofPath+"{name}", onlyHere(profile))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no %s here; see /api/v1/status, /metrics, /readyz", r.URL.Path)
	})
	return guard(mux)
}

// guard refuses what a browser could be made to send: another Host than an address (DNS rebinding), and every method
// but the two that only read. The reload has a guard of its own.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case !addressHost(r.Host):
			refuse(w, http.StatusForbidden, "the admin address must be asked by IP address or as localhost, not as %q", r.Host)
		case r.Method == http.MethodPost && r.URL.Path == reloadPath:
			next.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "the admin API only reads; change the topology with edge apply and edge drain")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func addressHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	ok, reason := s.cfg.Ready()
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	reply(w, struct {
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"`
	}{ok, reason})
}

// report answers the other edges' probes. An edge without a report fails them, so that nobody is sent to it.
func (s *Server) report(w http.ResponseWriter, _ *http.Request) {
	r := s.cfg.Report()
	if r == nil {
		refuse(w, http.StatusServiceUnavailable, "the edge is ending")
		return
	}
	reply(w, r)
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.cfg.Metrics(w)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	kind, ok := topology.ParseKind(r.PathValue("kind"))
	if !ok {
		refuse(w, http.StatusNotFound, "%q is not a kind; want one of %v", r.PathValue("kind"), topology.Kinds)
		return
	}
	reply(w, s.cfg.Get(kind))
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	kind, ok := topology.ParseKind(r.PathValue("kind"))
	if !ok {
		refuse(w, http.StatusNotFound, "%q is not a kind; want one of %v", r.PathValue("kind"), topology.Kinds)
		return
	}
	for _, item := range s.cfg.Get(kind) {
		if item.Name == r.PathValue("name") {
			reply(w, item)
			return
		}
	}
	refuse(w, http.StatusNotFound, "there is no %s %q", kind.Singular(), r.PathValue("name"))
}

func (s *Server) explainDNS(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddr(r.FormValue("from"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "from=%q is not an IP address", r.FormValue("from"))
		return
	}
	x, err := s.cfg.ExplainDNS(r.FormValue("name"), from)
	if err != nil {
		refuse(w, http.StatusNotFound, "%v", err)
		return
	}
	reply(w, x)
}

func (s *Server) explainHTTP(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("method") == "" {
		refuse(w, http.StatusBadRequest, "method is missing; want one as in method=GET")
		return
	}
	u, err := url.Parse(r.FormValue("url"))
	if err != nil || u.Host == "" {
		refuse(w, http.StatusBadRequest, "url=%q is not a URL; want http://HOST/PATH", r.FormValue("url"))
		return
	}
	x, err := s.cfg.ExplainHTTP(r.FormValue("method"), u)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	reply(w, x)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the reader's connection failing: nobody is left to tell
}

// Problem is the body of every refusal.
type Problem struct {
	Message string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(Problem{fmt.Sprintf(format, args...)})
}
