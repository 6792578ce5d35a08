// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// conduct is what a node does wrong. Its zero value does nothing wrong.
type conduct struct {
	// Delay is what a request takes besides the work.
	Delay time.Duration `json:"delay,omitempty"`
	// Errors is how many in a hundred requests are answered with 500.
	Errors int `json:"errors,omitempty"`
	// Reset has every connection reset, those that are open and those that come.
	Reset bool `json:"reset,omitempty"`
	// Refuse has the node not listen, and the open connections reset.
	Refuse bool `json:"refuse,omitempty"`
	// Partial has answers break off in the middle: of a declared length, and of chunks.
	Partial bool `json:"partial,omitempty"`
	// Idle has unused connections closed after a random time up to it.
	Idle time.Duration `json:"idle,omitempty"`
}

// node is the program that is behind the proxies: it executes a request, which takes a while, and answers with its number. It does as
// it is told by lines of JSON on its standard input, and ends with that, so that none outlives the harness.
type node struct {
	name    string
	journal *journal
	work    time.Duration
	conduct atomic.Pointer[conduct]
	leaving atomic.Bool // not ready any more
	door    *door
}

// runNode is the main function of a node's process.
func runNode(args []string) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "the address")
	name := flags.String("name", "", "what it calls itself")
	path := flags.String("journal", "", "the file of the journal")
	work := flags.Duration("work", 5*time.Millisecond, "what a request takes")
	grace := flags.Duration("grace", 2*time.Second, "how long to go on after SIGTERM without being ready")
	if err := flags.Parse(args); err != nil {
		return err
	}
	j, err := openJournal(*path)
	if err != nil {
		return err
	}
	n := &node{name: *name, journal: j, work: *work, door: newDoor(*listen)}
	n.conduct.Store(&conduct{})
	if err := n.door.open(); err != nil {
		return err
	}
	return n.serve(*grace)
}

// serve serves until the harness is gone or SIGTERM comes, and then ends as a good service does: not ready first, and when those who
// check that have noticed, it closes its listener and finishes what it has.
func (n *node) serve(grace time.Duration) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	gone := make(chan struct{})
	go func() { n.obey(os.Stdin); close(gone) }()
	srv := &http.Server{Handler: n, ConnState: n.connState}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(n.door) }()
	fmt.Println("ready", n.door.addr)
	select {
	case err := <-served:
		return err
	case <-gone:
		srv.Close()
		<-served
		return nil
	case <-term:
	}
	n.leaving.Store(true)
	select {
	case <-time.After(grace):
	case <-gone:
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err := srv.Shutdown(ctx)
	<-served
	return err
}

// obey takes one conduct after the other and says when it is in force.
func (n *node) obey(from io.Reader) {
	for lines := bufio.NewScanner(from); lines.Scan(); {
		c := &conduct{}
		if err := json.Unmarshal(lines.Bytes(), c); err != nil {
			fmt.Println("error", err)
			continue
		}
		n.conduct.Store(c)
		if err := n.door.be(c); err != nil {
			fmt.Println("error", err)
			continue
		}
		fmt.Println("done")
	}
}

// connState closes connections that have been unused for a random while: some of them just as they are used again.
func (n *node) connState(c net.Conn, s http.ConnState) {
	g, ok := c.(*guest)
	if ok && g.unused != nil {
		g.unused.Stop()
	}
	if idle := n.conduct.Load().Idle; ok && idle > 0 && s == http.StateIdle {
		g.unused = time.AfterFunc(1+rand.N(idle), func() { g.Close() })
	}
}

// ServeHTTP implements http.Handler. /healthz says whether the node is ready, /r/N executes request N.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		if n.leaving.Load() {
			http.Error(w, "leaving", http.StatusServiceUnavailable)
		}
	case strings.HasPrefix(r.URL.Path, "/r/"):
		n.execute(w, r)
	case r.URL.Path == "/events":
		n.events(w, r)
	case r.URL.Path == "/upload":
		n.upload(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (n *node) execute(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.URL.Path[len("/r/"):], 10, 63)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Method == "POST" {
		b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil || string(b) != bodyOf(id) {
			http.Error(w, "the request's body is another's or not whole", http.StatusBadRequest)
			return
		}
	}
	c := n.conduct.Load()
	if err := n.journal.note(id, false); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	time.Sleep(n.work + c.Delay)
	if rand.IntN(100) < c.Errors {
		http.Error(w, "as I was told", http.StatusInternalServerError)
		return
	}
	if c.Partial {
		breakOff(w, id)
		return
	}
	if err := n.journal.note(id, true); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer := bodyOf(id)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	io.WriteString(w, answer)
}

// bodyOf is the body of a request and of its answer.
func bodyOf(id uint64) string { return "request " + strconv.FormatUint(id, 10) + "\n" }

// breakOff answers with a part of what it announces: every second time of a length, else of chunks without a last one.
func breakOff(w http.ResponseWriter, id uint64) {
	const whole, part = 1 << 20, 10 << 10
	nc, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer nc.Close()
	text := strings.Repeat("x", part)
	if id%2 == 0 {
		fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", whole, text)
		return
	}
	fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", part, text)
}

// events says the node's name in a comment, and sends an event each second until the client leaves or the node does.
func (n *node) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, ": %s\n", n.name)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: tick\n\n", i); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// upload answers with how many bytes have come.
func (n *node) upload(w http.ResponseWriter, r *http.Request) {
	got, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		return
	}
	fmt.Fprint(w, got)
}
