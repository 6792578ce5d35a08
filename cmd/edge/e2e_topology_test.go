// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"meridian/admin"
)

// rawEtcd is an etcd client as etcdctl is one: it knows nothing of Meridian.
func rawEtcd(t *testing.T, f *testFleet) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{fmt.Sprintf("http://127.0.0.1:%d", f.etcd)}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func put(t *testing.T, c *clientv3.Client, key, value string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := c.Put(ctx, key, value)
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

// desired returns everything below the root that operators write.
func desired(t *testing.T, c *clientv3.Client) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := c.Get(ctx, "/meridian/v1/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range r.Kvs {
		if !strings.HasPrefix(string(kv.Key), "/meridian/v1/live/") {
			out[string(kv.Key)] = string(kv.Value)
		}
	}
	return out
}

// TestTopologyMistakes is about everything that can be wrong with a topology, and what must still work then.
func TestTopologyMistakes(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "--regions", "us-east-1", "--workers", "1")
	c := rawEtcd(t, f)
	t.Run("a file with mistakes is refused whole", func(t *testing.T) { refusedWhole(t, f, c) })
	t.Run("an apply that is killed changes all or nothing", func(t *testing.T) { killedApply(t, f, c) })
	t.Run("a malformed value is refused", func(t *testing.T) { malformedValue(t, f, c) })
	t.Run("10,000 nodes are applied at once", func(t *testing.T) { manyNodes(t, f) })
}

const wrongTopology = `regions:
  - name: us-east-1
    latitude: 391
    longitude: -77.49
pools:
  - name: web
    protocol: gopher
  - name: good
routes:
  - name: r
    hosts: [UPPER.example.org]
    pool: web
  - name: dangling
    pool: nowhere
    tires: 3
`

func refusedWhole(t *testing.T, f *testFleet, c *clientv3.Client) {
	before := desired(t, c)
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(file, []byte(wrongTopology), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := f.run("apply", "-f", file)
	if code != 1 || out != "" {
		t.Errorf("got exit code %d, %q on standard output; want 1 and nothing", code, out)
	}
	for _, want := range []string{"wrong.yaml:3:", "latitude", "wrong.yaml:7:", "protocol", "wrong.yaml:11:", "hosts[0]", "wrong.yaml:15:", "tires", "nothing was written"} {
		if !strings.Contains(errs, want) {
			t.Errorf("the errors lack %q:\n%s", want, errs)
		}
	}
	// What only shows against the store is refused as well, with its line.
	if err := os.WriteFile(file, []byte("pools:\n  - name: good\nroutes:\n  - name: dangling\n    pool: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code = f.run("apply", "-f", file)
	if code != 1 || !strings.Contains(errs, "wrong.yaml:5:") || !strings.Contains(errs, `there is no pool "nowhere"`) {
		t.Errorf("a dangling reference: got exit code %d:\n%s", code, errs)
	}
	after := desired(t, c)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("etcd has changed:\n%v\n%v", before, after)
	}
}

// manyNodesFile writes a topology with a pool of n nodes, all of one weight. Nodes of a region without an edge are checked
// by nobody: 10,000 connects a second are not the point here.
func manyNodesFile(t *testing.T, pool string, n, weight int) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "pools:\n  - name: %s\nregions:\n  - {name: far-%s, latitude: 0, longitude: 0}\nnodes:\n", pool, pool)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: %s-%d, pool: %s, region: far-%s, weight: %d, address: \"127.10.%d.%d:9\"}\n", pool, i, pool, pool, weight, i/250, i%250+1)
	}
	file := filepath.Join(t.TempDir(), "many.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// killedNodes are enough for killedApply's moments, in chunks of a hundred: what is read over and over is no more than that.
const killedNodes = 2500

// killedApply kills the command at different moments of its work. A reader must see one weight at all nodes at any time:
// the old one before the commit record is written, the new one from then on.
func killedApply(t *testing.T, f *testFleet, c *clientv3.Client) {
	f.must("apply", "-f", manyNodesFile(t, "several", killedNodes, 1))
	for i, at := range []struct {
		what                   string
		chunks, commits, folds int // kill once so many were seen
	}{
		{"at the first chunk", 1, 0, 0},
		{"amid the chunks", 10, 0, 0},
		{"at the commit record", 0, 1, 0},
		{"at the first fold", 0, 0, 1},
		{"amid the folds", 0, 0, 10},
	} {
		before, weight := oneWeight(t, f), 10+i
		cmd := f.command("apply", "-f", manyNodesFile(t, "several", killedNodes, weight))
		watching, stop := context.WithCancel(t.Context())
		events := c.Watch(watching, "/meridian/v1/apply/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-events
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		committed := killAt(cmd, events, at.chunks, at.commits, at.folds)
		stop()
		for range events {
		}
		want := before
		if committed {
			want = weight
		}
		f.waitFor("the edge sees what was committed", 5*time.Second, func() error {
			if w := oneWeight(t, f); w != want {
				return fmt.Errorf("killed %s: weight %d; want %d", at.what, w, want)
			}
			return nil
		})
	}
	f.must("apply", "-f", manyNodesFile(t, "several", killedNodes, 7))
	f.waitFor("the apply after the killed ones is seen", 10*time.Second, func() error {
		if w := oneWeight(t, f); w != 7 {
			return fmt.Errorf("weight %d", w)
		}
		return nil
	})
}

// killAt kills a command once so many chunks or commit records were written, or chunks folded, and reports whether a
// commit record was seen.
func killAt(cmd *exec.Cmd, events clientv3.WatchChan, chunks, commits, folds int) (committed bool) {
	gone := make(chan struct{})
	go func() { cmd.Wait(); close(gone) }()
	puts, records, deletes := 0, 0, 0
	var quiet <-chan time.Time // what the process had written before it went may still be on its way here
	for {
		select {
		case <-gone:
			gone, quiet = nil, time.After(500*time.Millisecond)
		case <-quiet:
			return records > 0
		case resp := <-events:
			for _, e := range resp.Events {
				switch {
				case strings.HasSuffix(string(e.Kv.Key), "/commit") && e.IsCreate():
					records++
				case e.IsCreate():
					puts++
				case records > 0:
					deletes++
				}
			}
			if chunks > 0 && puts >= chunks || commits > 0 && records >= commits || folds > 0 && deletes >= folds {
				cmd.Process.Kill()
			}
		}
	}
}

// oneWeight returns the weight of all nodes of that pool, which must be one.
func oneWeight(t *testing.T, f *testFleet) int {
	t.Helper()
	var nodes []struct {
		Pool   string `json:"pool"`
		Weight int    `json:"weight"`
	}
	if err := json.Unmarshal([]byte(f.must("get", "nodes", "-o", "json")), &nodes); err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for _, n := range nodes {
		if n.Pool == "several" {
			seen[n.Weight]++
		}
	}
	if len(seen) != 1 {
		t.Fatalf("a reader saw a change in part: %v nodes by weight", seen)
	}
	for w := range seen {
		return w
	}
	return 0
}

func manyNodes(t *testing.T, f *testFleet) {
	file := manyNodesFile(t, "big", 10_000, 1)
	start := time.Now()
	if out := f.must("apply", "-f", file); !strings.Contains(out, "10002 created") {
		t.Fatalf("apply: %s", out)
	}
	t.Logf("10,000 nodes were applied in %s", time.Since(start).Round(time.Millisecond))
	f.waitFor("the edge has all of them", time.Minute, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		for _, p := range st.Pools {
			if p.Name == "big" {
				if p.Total == 10_000 {
					return nil
				}
				t.Fatalf("a reader saw %d of 10,000 nodes; want all or none", p.Total)
			}
		}
		return errors.New("no pool yet")
	})
}

// malformedValue writes a wrong value straight into etcd: the last good one stays in use, by the edge that runs and by
// one that starts later.
func malformedValue(t *testing.T, f *testFleet, c *clientv3.Client) {
	const key = "/meridian/v1/routes/mcp"
	good := desired(t, c)[key]
	put(t, c, key, `{"version":1,"name":"mcp","pool":"mcp","path_prefix":"no slash"}`)
	refused := func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		return namesRefused(st, "routes/mcp")
	}
	f.waitFor("the value is refused", 5*time.Second, refused)
	works := func() {
		t.Helper()
		raw := newRawMCP(f.mcpURL(0))
		defer raw.close()
		if _, _, err := raw.echoModern(t.Context(), "on", 0); err != nil {
			t.Errorf("the route does not work: %v", err)
		}
	}
	works()
	logged, _ := os.ReadFile(filepath.Join(f.dir, "logs", "edge-us-east-1.log"))
	if n := strings.Count(string(logged), "key="+key); n != 1 {
		t.Errorf("the refusal is logged %d times; want once, with its key:\n%s", n, logged)
	}

	f.must("dev", "stop", "edge-us-east-1") // one that starts later has etcd's history
	os.RemoveAll(filepath.Join(f.dir, "edges", "edge-us-east-1"))
	if err := os.MkdirAll(filepath.Join(f.dir, "edges", "edge-us-east-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	rewriteEdgeConfig(t, f)
	f.must("dev", "start", "edge-us-east-1")
	f.waitFor("the value is refused from the start", 5*time.Second, refused)
	works()

	f.must("dev", "stop", "edge-us-east-1") // or its own disk, where the history is compacted
	rev := put(t, c, key, `not even JSON`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	f.must("dev", "start", "edge-us-east-1")
	f.waitFor("the value is refused after compaction", 5*time.Second, refused)
	works()

	put(t, c, key, good)
	f.waitFor("the mended value is taken", 5*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		if len(st.Refused) > 0 {
			return fmt.Errorf("still refused: %v", st.Refused)
		}
		return nil
	})
	works()
}

func namesRefused(st admin.Status, key string) error {
	for _, r := range st.Refused {
		if r.Key.String() == key && strings.Contains(r.Using, "last good") {
			return nil
		}
	}
	return fmt.Errorf("not among the refused: %+v", st.Refused)
}

// rewriteEdgeConfig writes the edge's configuration again, which stood in the directory that was removed.
func rewriteEdgeConfig(t *testing.T, f *testFleet) {
	t.Helper()
	text := fmt.Sprintf("name: edge-us-east-1\nregion: us-east-1\nhttp: {listen: [\"%s\"]}\ndns: {listen: [\"%s\"]}\nadmin: {listen: \"%s:%d\"}\n"+
		"etcd: {endpoints: [\"http://127.0.0.1:%d\"]}\ndata_dir: %q\n", f.httpAt(0), f.dnsAt(0), f.ip(0), f.admin, f.etcd,
		filepath.Join(f.dir, "edges", "edge-us-east-1"))
	if err := os.WriteFile(filepath.Join(f.dir, "edges", "edge-us-east-1", "edge.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestServeFromATopologyFile runs one edge without etcd.
func TestServeFromATopologyFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	w := startWorker(t)
	file := filepath.Join(t.TempDir(), "topology.yaml")
	write := func(pool string) {
		t.Helper()
		text := "regions:\n  - {name: lab, latitude: 52.5, longitude: 13.4}\npools:\n  - {name: mcp, protocol: mcp, health_check: {path: /healthz, interval: 100ms}}\n" +
			"nodes:\n  - {name: w1, pool: mcp, region: lab, address: \"" + w + "\"}\nroutes:\n  - {name: mcp, path_prefix: /mcp, pool: " + pool + "}\n" +
			"names:\n  - {name: mcp.edge.test, pool: mcp}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mcp")
	cfg := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(cfg, []byte(fmt.Sprintf("name: solo\nregion: lab\nadmin: {listen: \"%s:%d\"}\n", f.ip(0), f.admin)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, "edge", "serve", "-c", cfg, "--topology", file, "--http", f.httpAt(0), "--dns", f.dnsAt(0))
	echoes := func() error {
		c := newRawMCP(f.mcpURL(0))
		defer c.close()
		_, _, err := c.echoModern(t.Context(), "on", 0)
		return err
	}
	f.waitFor("the edge serves", 20*time.Second, echoes)
	answersOwn := func() error {
		m, err := f.query(0, "udp", "mcp.edge.test.", 1, "")
		if err != nil {
			return err
		}
		if addrs, _ := addresses(m); len(addrs) != 1 || addrs[0] != f.ip(0) {
			return fmt.Errorf("got %v", addrs)
		}
		return nil
	}
	f.waitFor("the authority answers with the edge itself", 5*time.Second, answersOwn)

	write("nowhere")
	f.waitFor("the mistake is seen", 5*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		if !st.Topology.Stale || !strings.Contains(st.Topology.Detail, "nowhere") {
			return fmt.Errorf("got %+v", st.Topology)
		}
		return nil
	})
	if err := echoes(); err != nil {
		t.Errorf("the last good topology does not serve: %v", err)
	}
	write("mcp")
	f.waitFor("the mended file is in use", 5*time.Second, func() error {
		st, err := f.status(0)
		if err != nil {
			return err
		}
		if st.Topology.Stale || st.Topology.Revision < 2 {
			return fmt.Errorf("got %+v", st.Topology)
		}
		return nil
	})
	p.End(t)
	if !strings.Contains(p.Out.String(), "edge has ended") {
		t.Errorf("the edge does not say that it ended:\n%s", p.Out)
	}
}

// TestChecks validates files.
func TestChecks(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	file := filepath.Join(t.TempDir(), "edge.yaml")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: e\nregion: r\nhttp:\n  listen: [nonsense]\nlimits:\n  head_timeout: 5\nno_such: 1\netcd: {endpoints: [\"http://127.0.0.1:2379\"]}\n")
	_, errs, code := f.run("check", "-c", file)
	for _, want := range []string{"edge.yaml:4", "http.listen[0]", "edge.yaml:6", "limits.head_timeout", "edge.yaml:7", "no_such"} {
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("got exit code %d; the errors lack %q:\n%s", code, want, errs)
		}
	}
	write("name: e\nregion: r\nhttp: {listen: [\"127.0.0.1:8080\"]}\netcd: {endpoints: [\"http://127.0.0.1:2379\"]}\n")
	if out := f.must("check", "-c", file); !strings.Contains(out, "head_timeout: 10s") {
		t.Errorf("the effective configuration lacks its defaults:\n%s", out)
	}
	var cfg map[string]any
	if err := json.Unmarshal([]byte(f.must("check", "-c", file, "-o", "json")), &cfg); err != nil || cfg["name"] != "e" {
		t.Errorf("json: %v %v", cfg, err)
	}
	f.must("check", "-f", "../../etc/examples/standalone.yaml")
}
