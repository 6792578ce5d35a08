// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/internal/loadgen"
	"meridian/internal/program"
	"meridian/internal/testnet"
)

// changing is an edge with TLS and etcd, whose certificate and routes the test changes. Route "stays" is never touched;
// route "moves" goes from pool old to pool new and back.
type changing struct {
	t                  *testing.T
	dir, secure, clear string
	etcd               *testFleet // only its port is used
	program            *program.Process
}

func startChanging(t *testing.T) *changing {
	t.Helper()
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	c := &changing{t: t, dir: t.TempDir(), secure: at(), clear: at(), etcd: &testFleet{t: t, etcd: freePort(t)}}
	etcd := fmt.Sprintf("http://127.0.0.1:%d", c.etcd.etcd)
	startProgram(t, "edge", "etcd", "--data-dir", filepath.Join(c.dir, "etcd"), "--client-url", etcd, "--peer-url", "http://"+at())
	topology := "regions: [{name: lab}]\n"
	pools, nodes := "pools:\n", "nodes:\n"
	for _, name := range []string{"stays", "old", "new"} {
		pools += fmt.Sprintf("  - {name: %s, health_check: {type: tcp, interval: 10s, timeout: 5s}}\n", name)
		nodes += fmt.Sprintf("  - {name: %s-1, pool: %s, region: lab, address: %q}\n", name, name, tickingNode(t, name))
	}
	topology += pools + nodes + "routes:\n  - {name: stays, path_prefix: /stays, pool: stays, timeouts: {connect: 10s}}\n  - {name: moves, path_prefix: /moves, pool: old, timeouts: {connect: 10s}}\n"
	file := c.put("topology.yaml", []byte(topology))
	c.certify()
	config := c.put("edge.yaml", fmt.Appendf(nil, "name: e1\nregion: lab\nadmin: {listen: %q}\nhttp: {listen: [%q]}\nhttps: {listen: [%q], certificates: [{cert: %s/a.crt, key: %s/a.key}]}\netcd: {endpoints: [%q]}\ndata_dir: %s\n",
		at(), c.clear, c.secure, c.dir, c.dir, etcd, filepath.Join(c.dir, "data")))
	testnet.Wait(t, "etcd to take the topology", func() bool {
		return exec.Command(filepath.Join(binDir, "edge"), "apply", "-f", file, "--etcd", etcd).Run() == nil
	})
	c.program = startProgram(t, "edge", "serve", "-c", config)
	testnet.Wait(t, "the edge to serve", func() bool {
		body, err := c.ask(t.Context(), c.client(false, true), "/moves")
		return err == nil && body == "old"
	})
	return c
}

func (c *changing) put(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path+".tmp", content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		c.t.Fatal(err)
	}
	return path
}

var certified atomic.Int64

// certify puts another certificate and its key in place and returns the name by which it is known.
func (c *changing) certify() string {
	name := fmt.Sprintf("number-%d.test", certified.Add(1))
	cert, key := testnet.Certificate(c.t, name, "a.test")
	c.put("a.crt", cert)
	c.put("a.key", key)
	return name
}

// shown returns the name of the certificate that a new connection gets.
func (c *changing) shown() string {
	nc, err := tls.Dial("tcp", c.secure, &tls.Config{ServerName: "a.test", InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0].DNSNames[0]
}

// client speaks over TLS; with fresh, each request is one on a new connection.
func (c *changing) client(http2, fresh bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	tr := &http.Transport{
		Protocols: p, DisableKeepAlives: fresh, MaxIdleConnsPerHost: 100, TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.secure)
		},
	}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (c *changing) ask(ctx context.Context, client *http.Client, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "https://a.test"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %d %s", path, resp.StatusCode, b)
	}
	return string(b), err
}

// move gives the route to a pool, as an operator with etcdctl would.
func (c *changing) move(raw *clientv3.Client, pool string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testnet.Patience)
	defer cancel()
	route := fmt.Sprintf(`{"version":1,"name":"moves","path_prefix":"/moves","pool":%q,"timeouts":{"connect":"10s"}}`, pool)
	if _, err := raw.Put(ctx, "/meridian/v1/routes/moves", route); err != nil {
		c.t.Fatal(err)
	}
}

// tickingNode says its name, sends numbered events below …/events and echoes below …/ws.
func tickingNode(t *testing.T, name string) string {
	up := websocket.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/ws"):
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return // it has answered
			}
			defer c.Close()
			for {
				kind, m, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, append([]byte(name+" "), m...)) != nil {
					return
				}
			}
		case strings.HasSuffix(r.URL.Path, "/events"):
			w.Header().Set("Content-Type", "text/event-stream")
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				fmt.Fprintf(w, "data: %s %d\n\n", name, n)
				w.(http.Flusher).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		default:
			io.WriteString(w, name)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// stream is one that stays open through all changes. Each step must bring what the one before lets expect.
type stream struct {
	name  string
	step  func(n int) error
	close func()
	steps atomic.Int64
}

// events opens a stream of events.
func (c *changing) events(http2 bool, path, node string) *stream {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", "https://a.test"+path+"/events", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.client(http2, false).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	return &stream{name: fmt.Sprintf("events of %s, HTTP/%d", path, resp.ProtoMajor), close: func() { cancel(); resp.Body.Close() }, step: func(n int) error {
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("data: %s %d\n", node, n); err == nil && line != want {
			err = fmt.Errorf("got %q, want %q", line, want)
		}
		_, end := lines.ReadString('\n')
		return errors.Join(err, end)
	}}
}

// webSocket opens a WebSocket, in clear text or over TLS.
func (c *changing) webSocket(secure bool, path, node string) *stream {
	c.t.Helper()
	url := "ws://" + c.clear
	if secure {
		url = "wss://" + c.secure
	}
	d := websocket.Dialer{TLSClientConfig: &tls.Config{ServerName: "a.test", InsecureSkipVerify: true}}
	ws, resp, err := d.Dial(url+path+"/ws", http.Header{"Host": {"a.test"}})
	if err != nil {
		c.t.Fatalf("%v, %v", err, resp)
	}
	pause := time.NewTicker(10 * time.Millisecond) // as often as events come
	return &stream{name: "WebSocket of " + url[:3] + path, close: func() { pause.Stop(); ws.Close() }, step: func(n int) error {
		<-pause.C
		if err := ws.WriteMessage(websocket.TextMessage, fmt.Append(nil, n)); err != nil {
			return err
		}
		_, got, err := ws.ReadMessage()
		if want := fmt.Sprint(node, " ", n); err == nil && string(got) != want {
			err = fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	}}
}

// TestCertificatesAndRoutesChangeUnderLoad: nothing fails, new handshakes get the new certificate, and every stream lives
// on; one whose route was given to another pool does so on the node that it has, since a request keeps the topology that it
// began with.
func TestCertificatesAndRoutesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	c := startChanging(t)
	raw := rawEtcd(t, c.etcd)
	var streams []*stream
	for _, s := range []struct{ path, node string }{{"/stays", "stays"}, {"/moves", "old"}} {
		streams = append(streams, c.events(false, s.path, s.node), c.events(true, s.path, s.node), c.webSocket(true, s.path, s.node), c.webSocket(false, s.path, s.node))
	}
	var over atomic.Bool
	var flowing sync.WaitGroup
	end := sync.OnceFunc(func() {
		over.Store(true)
		flowing.Wait() // the last steps come
		for _, s := range streams {
			s.close()
		}
	})
	t.Cleanup(end)
	for _, s := range streams {
		flowing.Go(func() {
			for n := 0; !over.Load(); n++ {
				if err := s.step(n); err != nil {
					t.Errorf("%s: step %d: %v", s.name, n, err)
					return
				}
				s.steps.Add(1)
			}
		})
	}
	loading, stop := context.WithCancel(t.Context())
	defer stop()
	results := make(chan *loadgen.Result, 4)
	for _, http2 := range []bool{false, true} {
		for _, fresh := range []bool{false, true} {
			client := c.client(http2, fresh)
			rate := 30.0
			if fresh {
				rate = 4
			}
			go func() {
				results <- loadgen.Run(loading, loadgen.Config{Rate: rate, Do: func(ctx context.Context, n int) error {
					path, want := "/stays", "stays"
					if n%2 == 0 {
						path, want = "/moves", "old new"
					}
					body, err := c.ask(ctx, client, path)
					if err == nil && (body == "" || !strings.Contains(want, body)) {
						err = fmt.Errorf("%s: got %q", path, body)
					}
					return err
				}})
			}()
		}
	}
	fresh := c.client(true, true)
	for round := range 2 {
		for _, pool := range []string{"new", "old"} {
			name := c.certify()
			c.move(raw, pool)
			testnet.Wait(t, "the new certificate", func() bool { return c.shown() == name })
			testnet.Wait(t, "the new route", func() bool {
				body, err := c.ask(t.Context(), fresh, "/moves")
				return err == nil && body == pool
			})
			for _, s := range streams {
				had := s.steps.Load()
				testnet.Wait(t, s.name+" to go on", func() bool { return s.steps.Load() > had || t.Failed() })
			}
			if t.Failed() {
				t.Fatalf("in round %d, with pool %s", round, pool)
			}
		}
	}
	stop()
	for range cap(results) {
		if r := <-results; r.Failed > 0 || r.Sent == 0 {
			t.Errorf("load: %s", r)
		} else {
			t.Logf("load: %s", r)
		}
	}
	end()
}
