// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// From the specification (2026-07-28, basic/versioning): versions compare as strings.
const firstModern = "2026-07-28"

// sessionSlack is how far requests of bound sessions may run ahead of Capacity.RPS. Ours.
const sessionSlack = time.Second

// eras are the two handlers behind one URL.
type eras struct{ legacy, modern http.Handler }

func (w *Worker) newEras(s *mcp.Server) eras {
	get := func(*http.Request) *mcp.Server { return s }
	log := slog.New(demoted{w.cfg.Logger.Handler()})
	return eras{
		legacy: mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
			Logger:              log,
			EventStore:          newReplay(w.cfg.ReplayBytes, w.sessions.ended),
			SessionTimeout:      w.cfg.SessionIdle,
			MaxRequestBodyBytes: w.cfg.MaxBodyBytes,
		}),
		modern: mcp.NewStreamableHTTPHandler(get, &mcp.StreamableHTTPOptions{
			Logger:                       log,
			Stateless:                    true,
			MaxRequestBodyBytes:          w.cfg.MaxBodyBytes,
			PropagateRequestCancellation: true, // else a modern client that goes away, which is its cancel, would not stop the tool
		}),
	}
}

// class is what a request is to the worker's accounts.
type class struct {
	modern bool
	// standing is a legacy session's GET stream; listen a modern stream. Both stay open while nothing happens.
	standing, listen bool
	// bound says that the request belongs to a session that is there already; opens that it may open one.
	bound, opens bool
}

func classOf(r *http.Request) class {
	s := class{modern: r.Header.Get("MCP-Protocol-Version") >= firstModern}
	session := r.Header.Get("Mcp-Session-Id") != ""
	s.listen = s.modern && r.Method == http.MethodPost && r.Header.Get("Mcp-Method") == listenMethod
	// An event id is <stream>_<index>, and the standing stream's name is empty. A GET that resumes a POST's stream waits
	// for that call's answer: it is a request like the POST was.
	from := r.Header.Get("Last-Event-ID")
	s.standing = !s.modern && r.Method == http.MethodGet && (from == "" || strings.HasPrefix(from, "_"))
	s.bound = !s.modern && session
	s.opens = !s.modern && !session && r.Method == http.MethodPost
	return s
}

func (w *Worker) serveMCP(rw http.ResponseWriter, r *http.Request) {
	s := classOf(r)
	handler := w.eras.legacy
	if s.modern {
		handler = w.eras.modern
	}
	if s.standing {
		w.serveStanding(handler, rw, r)
		return
	}
	done, ok := w.admit(rw, r, s)
	if !ok {
		return
	}
	defer done()
	handler.ServeHTTP(rw, w.boundBody(rw, r))
}

// serveStanding serves a session's GET stream until the client goes or streams are ended. It passes the bounds: a GET
// that is refused ends the session in the Go SDK's client, and the connection is counted anyway.
func (w *Worker) serveStanding(h http.Handler, rw http.ResponseWriter, r *http.Request) {
	w.work.stream()
	defer w.work.streamDone()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(w.standing, cancel)()
	h.ServeHTTP(rw, r.WithContext(ctx))
}

// admit applies the bounds. If it takes the request, the caller calls done when the request is over.
func (w *Worker) admit(rw http.ResponseWriter, r *http.Request, s class) (done func(), ok bool) {
	if w.refusing.Load() && !s.bound {
		refuse(rw, "the worker is ending", time.Second)
		return nil, false
	}
	most, slack := w.cfg.Capacity.Connections, time.Duration(0)
	if s.bound {
		most, slack = 2*most, sessionSlack
	}
	if s.listen {
		w.work.stream()
		done = w.work.streamDone
	} else if w.work.request(most) {
		done = w.work.requestDone
	} else {
		refuse(rw, "the worker's capacity of "+strconv.Itoa(w.cfg.Capacity.Connections)+" requests at once is used up", time.Second)
		return nil, false
	}
	if ok, retry := w.takeRate(r, slack); !ok {
		done()
		refuse(rw, "the worker's capacity of requests a second is used up", retry)
		return nil, false
	}
	if !s.opens {
		return done, true
	}
	if !w.sessions.admit() {
		done()
		refuse(rw, "the worker holds its "+strconv.Itoa(w.cfg.MaxSessions)+" sessions already", 10*time.Second)
		return nil, false
	}
	counted := done // done is the result, which the closure must not call
	return func() { w.sessions.started(); counted() }, true
}

// takeRate counts a POST against Capacity.RPS. Nothing else is counted: a DELETE makes room.
func (w *Worker) takeRate(r *http.Request, slack time.Duration) (bool, time.Duration) {
	if r.Method != http.MethodPost {
		return true, 0
	}
	return w.rate.take(time.Now(), slack)
}

// refuse answers 503, which clients of both eras take as "this call failed, the session stands", never 404 or 400.
func refuse(rw http.ResponseWriter, why string, retry time.Duration) {
	rw.Header().Set("Retry-After", strconv.Itoa(max(1, int((retry+time.Second-1)/time.Second))))
	http.Error(rw, why+"; try again, or go to another worker", http.StatusServiceUnavailable)
}

// boundBody gives a request's body a deadline, which ends with the body: the answer may take as long as it takes.
func (w *Worker) boundBody(rw http.ResponseWriter, r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	rc := http.NewResponseController(rw)
	if rc.SetReadDeadline(time.Now().Add(w.cfg.BodyTimeout)) != nil {
		return r // only writers that are not net/http's have no deadline
	}
	r2 := *r
	r2.Body = &deadlineBody{ReadCloser: r.Body, rc: rc}
	return &r2
}

type deadlineBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

// Read implements io.Reader.
func (b *deadlineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.rc.SetReadDeadline(time.Time{}) // it was set a moment ago on the same connection
	}
	return n, err
}

// health is the answer of /healthz.
type health struct {
	Name     string `json:"name"`
	Status   string `json:"status"` // "ok", "leaving" (still takes everything), "ending" (takes nothing new)
	InFlight int    `json:"in_flight"`
	Streams  int    `json:"streams"`
	Sessions int    `json:"sessions"`
}

// serveHealth answers 200 until the worker takes nothing new, then 503. It passes the bounds: a busy worker is up.
func (w *Worker) serveHealth(rw http.ResponseWriter, _ *http.Request) {
	_, streams := w.work.counts()
	h := health{string(w.cfg.Name), "ok", w.inFlight(), streams, w.sessions.count()}
	status := http.StatusOK
	switch {
	case w.refusing.Load():
		h.Status, status = "ending", http.StatusServiceUnavailable
	case w.leaving.Load():
		h.Status = "leaving"
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(h) // a client that has gone is nobody's fault
}
