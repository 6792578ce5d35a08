// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/internal/program"
)

// draining is a fleet of two regions with a pool "web" beside the workers: nodes web-1 and web-2, both in the first region.
type draining struct {
	*testFleet
	t     *testing.T
	nodes map[string]*webNode
}

// webNode holds streams and uploads until the test ends them.
type webNode struct {
	name, addr string
	uploads    atomic.Int64 // that have begun

	mu   sync.Mutex    // guards over
	over chan struct{} // closed: streams end
}

// streams returns what is closed when the streams that begin now are to end.
func (n *webNode) streams() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over
}

// end ends all streams; those that begin later go on.
func (n *webNode) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.over)
	n.over = make(chan struct{})
}

func startWebNode(t *testing.T, name string) *webNode {
	n := &webNode{name: name, over: make(chan struct{})}
	up := websocket.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/web/ws":
			if c, err := up.Upgrade(w, r, nil); err == nil { // else it has answered
				defer c.Close()
				c.ReadMessage()
			}
		case "/web/events":
			over := n.streams()
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: %s\n\n", name)
			w.(http.Flusher).Flush()
			select {
			case <-over:
				io.WriteString(w, "data: end\n\n")
			case <-r.Context().Done():
			}
		case "/web/upload":
			n.uploads.Add(1)
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d", name, len(b))
		default:
			io.WriteString(w, name)
		}
	}))
	t.Cleanup(func() { n.end(); s.CloseClientConnections(); s.Close() })
	n.addr = s.Listener.Addr().String()
	return n
}

func startDraining(t *testing.T) *draining {
	t.Helper()
	d := &draining{t: t, testFleet: startFleet(t, "--regions", "us-east-1,eu-central-1"), nodes: map[string]*webNode{}}
	file := "pools: [{name: web, health_check: {type: tcp, interval: 5s, timeout: 5s}}]\nroutes: [{name: web, path_prefix: /web, pool: web}]\nnodes:\n"
	for _, name := range []string{"web-1", "web-2"} {
		d.nodes[name] = startWebNode(t, name)
		file += fmt.Sprintf("  - {name: %s, pool: web, region: us-east-1, address: %q}\n", name, d.nodes[name].addr)
	}
	path := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("apply", "-f", path)
	d.waitFor("the nodes to be up", 20*time.Second, func() error { return errors.Join(d.goesTo("web-1"), d.goesTo("web-2")) })
	return d
}

// goesTo returns nil if, of some requests through each edge, one is answered by the node.
func (d *draining) goesTo(node string) error {
	for range 20 {
		for n := range 2 {
			if _, body, _ := get(d.httpURL(n) + "/web"); body == node {
				return nil
			}
		}
	}
	return fmt.Errorf("nothing goes to %s", node)
}

// only has new work go to one of the two nodes.
func (d *draining) only(node string) {
	d.t.Helper()
	for name := range d.nodes {
		if name == node {
			d.must("undrain", "node/"+name)
		} else {
			d.must("drain", "node/"+name, "--wait", "--deadline", "1m")
		}
	}
	d.waitFor("new work goes to "+node, 10*time.Second, func() error { return d.goesTo(node) })
}

// command is a drain --wait under way.
type waiting struct {
	cmd       *exec.Cmd
	out, errs *program.Output
	done      chan struct{}
}

func (d *draining) begin(args ...string) *waiting {
	d.t.Helper()
	w := &waiting{cmd: d.command(args...), out: &program.Output{}, errs: &program.Output{}, done: make(chan struct{})}
	w.cmd.Stdout, w.cmd.Stderr = w.out, w.errs
	if err := w.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { w.cmd.Wait(); close(w.done) }()
	d.t.Cleanup(func() { w.cmd.Process.Kill(); <-w.done })
	return w
}

// says waits until the command has said something about its progress.
func (d *draining) says(w *waiting, what string) {
	d.t.Helper()
	d.waitFor("drain --wait says "+what, 30*time.Second, func() error {
		if !strings.Contains(w.errs.String(), what) {
			return fmt.Errorf("it says:\n%s", w.errs)
		}
		return nil
	})
}

// ends waits for the command, which must end with the code and have said what.
func (d *draining) ends(w *waiting, code int, what string) {
	d.t.Helper()
	select {
	case <-w.done:
	case <-time.After(time.Minute):
		d.t.Fatalf("drain --wait does not end:\n%s%s", w.out, w.errs)
	}
	if got := w.cmd.ProcessState.ExitCode(); got != code || !strings.Contains(w.out.String()+w.errs.String(), what) {
		d.t.Errorf("drain --wait ended with %d; want %d and %q:\n%s%s", got, code, what, w.out, w.errs)
	}
}

func (d *draining) drains() []drainLine {
	d.t.Helper()
	var lines []drainLine
	if out := d.must("drains", "-o", "json"); json.Unmarshal([]byte(out), &lines) != nil {
		d.t.Fatalf("drains: %s", out)
	}
	return lines
}

// TestDrains goes through every scope on one fleet, and what may happen to edges and commands meanwhile.
func TestDrains(t *testing.T) {
	t.Parallel()
	d := startDraining(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *draining)
	}{
		{"a zone", zoneDrain},
		{"1,000 streams and 100 uploads", streamsAndUploads},
		{"an interrupted wait, a restart and a deadline", deadlineDrain},
		{"an edge that hangs and one that is killed", unknownEdges},
		{"a region", regionDrain},
		{"an edge", edgeDrain},
	} {
		if !t.Run(c.name, func(t *testing.T) { d.t, d.testFleet.t = t, t; c.test(t, d) }) {
			break // what it leaves behind would fail the others
		}
	}
	d.t, d.testFleet.t = t, t
}

// zoneDrain also measures when the last new work went there after the drain was written.
func zoneDrain(t *testing.T, d *draining) {
	raw := rawEtcd(t, d.testFleet)
	events := raw.Watch(t.Context(), "/meridian/v1/drains/zone/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	var last time.Time
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		c := newRawMCP(d.mcpURL(0))
		defer c.close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			e, _, err := c.echoModern(context.Background(), "x", 0)
			if err != nil {
				t.Errorf("a request during the drain: %v", err)
				return
			}
			if e.Worker == "mcp-us-east-1-1" {
				last = began
			}
		}
	}()
	w := d.begin("drain", "zone/us-east-1a", "--wait", "--deadline", "1m", "--reason", "power", "-o", "json")
	<-events
	written := time.Now()
	d.ends(w, 0, `"zone/us-east-1/us-east-1a"`)
	acknowledged := time.Now()
	c := newRawMCP(d.mcpURL(1))
	defer c.close()
	for range 20 {
		if e, _, err := c.echoModern(t.Context(), "x", 0); err != nil || e.Worker == "mcp-us-east-1-1" {
			t.Errorf("after the drain: %+v, %v", e, err)
		}
	}
	close(stop)
	<-done
	t.Logf("the last new work went there %s after the write; acknowledged by all %s after it", max(0, last.Sub(written)), acknowledged.Sub(written))
	if last.After(acknowledged) {
		t.Error("new work went to the zone after all edges had acknowledged")
	}
	var end drained
	if err := json.Unmarshal([]byte(w.out.String()), &end); err != nil || !end.Complete || end.Progress.Edges != 2 || end.Reason != "power" {
		t.Errorf("it ends with %s (%v)", w.out, err)
	}
	for line := range strings.Lines(w.errs.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of progress is no JSON: %q", line)
		}
	}
	if l := d.drains(); len(l) != 1 || l[0].Scope != "zone" || l[0].State != "drained" || l[0].Reason != "power" || l[0].Author == "" || l[0].Deadline.IsZero() {
		t.Errorf("drains: %+v", l)
	}
	if out := d.must("drain", "zone/us-east-1b"); !strings.Contains(out, "is draining") {
		t.Errorf("drain: %s", out)
	}
	if _, errs, code := d.run("drain", "region/nowhere"); code != 1 || !strings.Contains(errs, "there is no region") {
		t.Errorf("a region that is not: %d, %s", code, errs)
	}
	d.must("undrain", "zone/us-east-1a")
	d.must("undrain", "zone/us-east-1/us-east-1b")
}

// slowBody writes a body, some of it each second, until it is to be finished, and says how long it was.
func slowBody(pw *io.PipeWriter, finish <-chan struct{}) <-chan int {
	sent := make(chan int, 1)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; {
			pw.Write(make([]byte, 2000))
			n += 2000
			select {
			case <-tick.C:
			case <-finish:
				pw.Close()
				sent <- n
				return
			}
		}
	}()
	return sent
}

// streamsAndUploads is F22: nothing is lost, everything is counted, and nothing is cut before a deadline.
func streamsAndUploads(t *testing.T, d *draining) {
	const streams, uploads = 1000, 100
	d.only("web-1")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	defer client.CloseIdleConnections()
	var open sync.WaitGroup
	bodies := make([]*http.Response, streams)
	for part := range 20 { // a thousand handshakes at once are another test
		open.Go(func() {
			for i := part; i < streams; i += 20 {
				resp, err := client.Get(d.httpURL(i%2) + "/web/events")
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("stream %d: %v, %v", i, resp, err)
					return
				}
				bodies[i] = resp
			}
		})
	}
	open.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var uploading sync.WaitGroup
	finish := make(chan struct{})
	for i := range uploads {
		uploading.Go(func() {
			body, pw := io.Pipe()
			sent := slowBody(pw, finish)
			resp, err := client.Post(d.httpURL(i%2)+"/web/upload", "application/octet-stream", body)
			if err != nil {
				t.Errorf("upload %d: %v", i, err)
				return
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint("web-1 ", <-sent) {
				t.Errorf("upload %d: %q, %v", i, b, err)
			}
		})
	}
	d.waitFor("all uploads to be at the node", 20*time.Second, func() error {
		if n := d.nodes["web-1"].uploads.Load(); n != uploads {
			return fmt.Errorf("%d of %d", n, uploads)
		}
		return nil
	})
	d.must("undrain", "node/web-2")
	w := d.begin("drain", "node/web-1", "--wait", "--deadline", "2m")
	d.says(w, fmt.Sprintf("%d requests in flight, %d streams open", uploads, streams))
	if l := d.drains(); len(l) != 1 || l[0].Progress.InFlight != uploads || l[0].Progress.Streams != streams || l[0].State != "draining" {
		t.Errorf("drains: %+v", l)
	}
	for i := range 200 {
		if status, body, err := get(d.httpURL(i%2) + "/web"); err != nil || status != 200 || body != "web-2" {
			t.Errorf("request %d: %d %q %v; want it at the other node", i, status, body, err)
		}
	}
	close(finish)
	uploading.Wait()
	d.says(w, fmt.Sprintf("0 requests in flight, %d streams open", streams))
	d.nodes["web-1"].end()
	for i, resp := range bodies {
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != "data: web-1\n\ndata: end\n\n" {
			t.Fatalf("stream %d ended with %q, %v; want it whole", i, b, err)
		}
	}
	d.ends(w, 0, "is drained: 2 live edges with nothing in flight there")
	d.must("undrain", "node/web-1")
}

// deadlineDrain interrupts a wait, restarts an edge and takes the wait up again; then the other edge cuts at the deadline.
func deadlineDrain(t *testing.T, d *draining) {
	d.only("web-1")
	resp, err := http.Get(d.httpURL(1) + "/web/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := bufio.NewReader(resp.Body)
	if line, err := events.ReadString('\n'); err != nil || line != "data: web-1\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+d.httpAt(1)+"/web/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()

	d.must("undrain", "node/web-2")
	w := d.begin("drain", "node/web-1", "--wait", "--deadline", "25s", "--reason", "first")
	d.says(w, "0 requests in flight, 2 streams open")
	w.cmd.Process.Signal(syscall.SIGINT)
	d.ends(w, 1, "edge drain node/web-1 --wait goes on waiting")
	before := d.drains()

	d.must("dev", "stop", "edge-us-east-1")
	d.must("dev", "start", "edge-us-east-1")
	w = d.begin("drain", "node/web-1", "--wait")
	d.says(w, "0 requests in flight, 2 streams open")
	d.waitFor("the restarted edge has acknowledged", 20*time.Second, func() error {
		if l := d.drains(); len(l) != 1 || l[0].Progress.Edges != 2 || len(l[0].Progress.Silent) > 0 {
			return fmt.Errorf("%+v", l)
		}
		return nil
	})
	if after := d.drains(); !after[0].Deadline.Equal(before[0].Deadline) || !after[0].Created.Equal(before[0].Created) || after[0].Reason != "first" {
		t.Errorf("the second drain changed the first: %+v; want %+v", after[0], before[0])
	}
	d.ends(w, 1, "node/web-1: the deadline has passed; 2 requests and streams were cut by 1 edge")
	rest, err := io.ReadAll(events)
	if err != nil || !bytes.HasPrefix(rest, []byte("\nevent: drain\nretry: ")) || !bytes.HasSuffix(rest, []byte("\n\n")) {
		t.Errorf("the stream ended with %q, %v; want a last event", rest, err)
	}
	ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("the WebSocket ended with %v; want 1001", err)
	}
	d.must("undrain", "node/web-1")
	d.waitFor("the node is used again", 10*time.Second, func() error { return d.goesTo("web-1") })
}

// unknownEdges waits for an edge that hangs until it goes on, and for one that was killed until it is ignored.
func unknownEdges(t *testing.T, d *draining) {
	const edge = "edge-eu-central-1"
	d.kill(edge, syscall.SIGSTOP)
	w := d.begin("drain", "node/web-1", "--wait")
	d.says(w, edge+" ended without a goodbye and may still serve")
	select {
	case <-w.done:
		t.Fatalf("it did not wait:\n%s%s", w.out, w.errs)
	default:
	}
	d.kill(edge, syscall.SIGCONT)
	d.ends(w, 0, "2 live edges")
	d.must("undrain", "node/web-1")

	d.kill(edge, syscall.SIGKILL)
	w = d.begin("drain", "node/web-1", "--wait", "--deadline", "8s")
	d.ends(w, 1, edge+" ended without a goodbye and may still serve")
	if l := d.drains(); len(l) != 1 || l[0].State != "draining" || len(l[0].Progress.Unknown) != 1 || l[0].Progress.Unknown[0] != edge {
		t.Errorf("drains: %+v", l)
	}
	if out := d.must("drain", "node/web-1", "--wait", "--ignore", "edge/"+edge); !strings.Contains(out, "1 live edge with nothing") || !strings.Contains(out, "not waited for: "+edge) {
		t.Errorf("with it ignored: %s", out)
	}
	if _, errs, code := d.run("forget", "edge/edge-us-east-1"); code != 1 || !strings.Contains(errs, "has a lease") {
		t.Errorf("a running edge is forgotten: %d, %s", code, errs)
	}
	if out := d.must("forget", "edge/"+edge); !strings.Contains(out, "is forgotten") {
		t.Errorf("forget: %s", out)
	}
	d.must("drain", "node/web-1", "--wait")
	d.must("dev", "start", edge)
	d.must("undrain", "node/web-1")
	d.waitFor("the edge is back", 30*time.Second, func() error {
		_, err := d.status(1)
		return err
	})
}

// answered returns where the authority of region n sends a client in Virginia, who is nearest to the first region.
func (d *draining) answered(n int) string {
	m, err := d.query(n, "udp", "mcp.edge.test.", dns.TypeA, "3.80.0.0/24")
	if err != nil {
		return err.Error()
	}
	addrs, _ := addresses(m)
	return strings.Join(addrs, " ")
}

func (d *draining) waitAnswered(want string) {
	d.t.Helper()
	took := d.waitFor("both authorities answer "+want, 20*time.Second, func() error {
		for n := range 2 {
			if got := d.answered(n); got != want {
				return fmt.Errorf("edge %d answers %q", n, got)
			}
		}
		return nil
	})
	d.t.Logf("both answer %s after %s", want, took.Round(time.Millisecond))
}

// leastTTL is below the time for which resolvers keep an answer that was given just before a drain: the name's TTL is 10 s.
const leastTTL = 9 * time.Second

// regionDrain: DNS leaves the region at once, what is bound there goes on, and the wait lasts as long as resolvers remember.
func regionDrain(t *testing.T, d *draining) {
	d.waitAnswered(d.ip(0))
	c := newRawMCP(d.mcpURL(0))
	defer c.close()
	bound, err := c.open(t.Context())
	if err != nil || !strings.HasPrefix(bound.worker, "mcp-us-east-1-") {
		t.Fatalf("opened %+v, %v", bound, err)
	}
	began := time.Now()
	w := d.begin("drain", "region/us-east-1", "--wait", "--deadline", "1m")
	d.waitAnswered(d.ip(1))
	d.says(w, "until resolvers have forgotten it")
	if s, err := c.open(t.Context()); err != nil || !strings.HasPrefix(s.worker, "mcp-eu-central-1-") {
		t.Errorf("a new session through the drained region's edge: %+v, %v; want it elsewhere", s, err)
	}
	d.ends(w, 0, "region/us-east-1 is drained")
	if took := time.Since(began); took < leastTTL {
		t.Errorf("it waited for %s, less than resolvers remember", took)
	}
	if e, a, err := bound.echo(t.Context(), "bound", 0); err != nil || e.Worker != bound.worker {
		t.Errorf("the bound session: %+v, %v; want it to go on", a, err)
	}
	if _, errs, code := d.run("drain", "region/eu-central-1"); code != 0 || !strings.Contains(errs, "note: no other region has a node of pool mcp") || !strings.Contains(errs, "this leaves DNS no edge") {
		t.Errorf("draining the last region: %d, %s; want it said what that means", code, errs)
	}
	if status, body, err := get(d.httpURL(1) + "/web"); err != nil || status != 200 {
		t.Errorf("with all regions drained: %d %s %v; want it served", status, body, err)
	}
	d.waitAnswered(d.ip(0)) // as if none were drained
	d.must("undrain", "region/eu-central-1")
	d.must("undrain", "region/us-east-1")
}

// edgeDrain: DNS leaves the edge, it is not ready, serves who comes, and tells clients to leave once resolvers know better.
func edgeDrain(t *testing.T, d *draining) {
	d.waitAnswered(d.ip(0))
	began := time.Now()
	w := d.begin("drain", "edge/edge-us-east-1", "--wait", "--deadline", "1m")
	d.waitAnswered(d.ip(1))
	if status, body, _ := get(d.httpURL(0) + "/healthz"); status != 503 || !strings.Contains(body, "the edge is drained") {
		t.Errorf("the edge's health: %d %s", status, body)
	}
	if status, _, _ := get(d.adminURL(0) + "/readyz"); status != 503 {
		t.Errorf("the edge's readiness: %d", status)
	}
	if status, _, err := get(d.httpURL(0) + "/web"); status != 200 {
		t.Errorf("a client that still comes: %d, %v", status, err)
	}
	d.ends(w, 0, "edge/edge-us-east-1 is drained")
	if took := time.Since(began); took < leastTTL {
		t.Errorf("it waited for %s, less than resolvers remember", took)
	}
	resp, err := http.Get(d.httpURL(0) + "/web")
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("a client that comes later: %+v, %v; want its connection closed", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
	stream, err := http.Get(d.httpURL(0) + "/web/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	w = d.begin("drain", "edge/edge-us-east-1", "--wait", "--deadline", "1s")
	d.ends(w, 1, "1 requests and streams were cut by 1 edge")
	if b, err := io.ReadAll(stream.Body); err != nil || !strings.Contains(string(b), "\n\nevent: drain\n") {
		t.Errorf("the stream ended with %q, %v", b, err)
	}
	d.must("undrain", "edge/edge-us-east-1")
	d.waitFor("the edge is ready", 10*time.Second, func() error {
		if status, body, err := get(d.httpURL(0) + "/healthz"); status != 200 {
			return fmt.Errorf("%d %s %v", status, body, err)
		}
		return nil
	})
}
