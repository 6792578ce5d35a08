// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"meridian/admin"
	"meridian/topology"
)

// TestQuickStart is what README shows, line by line, on one fleet of three regions.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	t.Run("the ready text says what to try", func(t *testing.T) {
		for _, want := range []string{"ready: 3 regions, 3 edges, 6 workers", f.httpURL(1), f.dnsAt(2), "explain dns mcp.edge.test", "Ctrl-C"} {
			if !strings.Contains(f.out.String(), want) {
				t.Errorf("the output lacks %q:\n%s", want, f.out)
			}
		}
	})
	t.Run("healthz on the data port", func(t *testing.T) {
		if status, body, err := get(f.httpURL(0) + "/healthz"); status != 200 || err != nil {
			t.Errorf("got %d %q %v; want 200", status, body, err)
		}
		if status, _, err := get(f.httpURL(0) + "/nothing"); status != 404 || err != nil {
			t.Errorf("a path without a route: got %d %v; want 404", status, err)
		}
	})
	t.Run("admin", func(t *testing.T) { adminAnswers(t, f) })
	t.Run("initialize through curl's eyes", func(t *testing.T) {
		c := newRawMCP(f.mcpURL(0))
		defer c.close()
		a, err := c.post(t.Context(), initializeBody, nil)
		if err != nil || a.status != 200 || a.session == "" || !strings.Contains(a.body, `"protocolVersion":"2025-11-25"`) {
			t.Errorf("got %+v, %v; want an initialize result with a session", a, err)
		}
	})
	t.Run("a client in London is sent to eu-central-1", func(t *testing.T) { answersByPlace(t, f) })
	t.Run("dig", func(t *testing.T) { digAnswers(t, f) })
	t.Run("status", func(t *testing.T) { statusShows(t, f) })
	t.Run("get", func(t *testing.T) { getShows(t, f) })
	t.Run("explain", func(t *testing.T) { explainShows(t, f) })
	t.Run("explain request", func(t *testing.T) { explainShowsARequest(t, f) })
	t.Run("apply of what is there changes nothing", func(t *testing.T) {
		out := f.must("apply", "-f", "../../etc/examples/topology.yaml")
		if !strings.Contains(out, "0 created, 0 changed") {
			t.Errorf("got %q", out)
		}
	})
	t.Run("50 sessions at once through each edge", func(t *testing.T) { manySessions(t, f) })
	t.Run("the TypeScript SDK's client", func(t *testing.T) { typeScriptClient(t, f) })
	t.Run("drain and undrain", func(t *testing.T) { drainRoundTrip(t, f) })
}

func adminAnswers(t *testing.T, f *testFleet) {
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": `"ready":true`, "/metrics": "meridian_http_requests_total"} {
		status, body, err := get(f.adminURL(0) + path)
		if status != 200 || err != nil || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %v; want 200 with %q:\n%.300s", path, status, err, want, body)
		}
	}
}

// query asks region n's authority over UDP or TCP, for a client in the subnet.
func (f *testFleet) query(n int, network, name string, qtype uint16, subnet string) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	if subnet != "" {
		p := netip.MustParsePrefix(subnet)
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		o.SetUDPSize(1232)
		family := uint16(1)
		if p.Addr().Is6() {
			family = 2
		}
		o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: p.Masked().Addr().AsSlice()})
		m.Extra = append(m.Extra, o)
	}
	c := &dns.Client{Net: network, Timeout: 3 * time.Second}
	r, _, err := c.Exchange(m, f.dnsAt(n))
	return r, err
}

// addresses returns the A records of an answer, and the scope of its client subnet.
func addresses(m *dns.Msg) (addrs []string, scope int) {
	scope = -1
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			addrs = append(addrs, a.A.String())
		}
	}
	if o := m.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if s, ok := e.(*dns.EDNS0_SUBNET); ok {
				scope = int(s.SourceScope)
			}
		}
	}
	return addrs, scope
}

func answersByPlace(t *testing.T, f *testFleet) {
	for _, c := range []struct{ place, subnet, want string }{
		{"London", "81.2.69.0/24", f.ip(1)},
		{"Virginia", "3.80.0.0/24", f.ip(0)},
		{"Tokyo", "133.11.0.0/24", f.ip(2)},
	} {
		for n := range 3 {
			for _, network := range []string{"udp", "tcp"} {
				m, err := f.query(n, network, "mcp.edge.test.", dns.TypeA, c.subnet)
				if err != nil {
					t.Fatal(err)
				}
				addrs, scope := addresses(m)
				if len(addrs) != 1 || addrs[0] != c.want || scope < 1 || scope > 24 || !m.Authoritative {
					t.Errorf("%s by %s at edge %d: got %v, scope %d; want %s with a scope of 1 to 24", c.place, network, n, addrs, scope, c.want)
				}
			}
		}
	}
	for n := range 3 { // a loopback address has no place: the answering edge's own region
		m, err := f.query(n, "udp", "mcp.edge.test.", dns.TypeA, "")
		if err != nil {
			t.Fatal(err)
		}
		if addrs, _ := addresses(m); len(addrs) != 1 || addrs[0] != f.ip(n) {
			t.Errorf("unknown place at edge %d: got %v; want %s", n, addrs, f.ip(n))
		}
	}
}

func digAnswers(t *testing.T, f *testFleet) {
	if _, err := exec.LookPath("dig"); err != nil {
		skipLoudly(t, "dig is not installed (Debian: bind9-dnsutils)")
	}
	out, err := exec.Command("dig", "@"+f.ip(0), "-p", fmt.Sprint(f.dns), "mcp.edge.test", "A", "+subnet=81.2.69.0/24", "+tries=1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), f.ip(1)) || !strings.Contains(string(out), "CLIENT-SUBNET: 81.2.69.0/24/") {
		t.Errorf("got %v\n%s\nwant the address %s", err, out, f.ip(1))
	}
}

// skipLoudly skips for the lack of a tool. CI installs the tools, and counts these lines.
func skipLoudly(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must have every tool: %s", why)
	}
	t.Skipf("SKIPPED FOR LACK OF A TOOL: %s", why)
}

func statusShows(t *testing.T, f *testFleet) {
	f.waitFor("the table has all", 10*time.Second, func() error {
		table := f.must("status")
		for _, want := range []string{"REGION", "edge-eu-central-1", "mcp-ap-southeast-1-2", "6/6", "2 of 2 nodes up"} {
			if !strings.Contains(table, want) {
				return fmt.Errorf("the table lacks %q:\n%s", want, table)
			}
		}
		return nil
	})
	f.waitFor("all nodes are up, other regions' by their edges' word", 10*time.Second, func() error {
		var st admin.Status
		if err := json.Unmarshal([]byte(f.must("status", "-o", "json", "--admin", f.adminURL(2))), &st); err != nil {
			return err
		}
		if st.Edge != "edge-ap-southeast-1" || len(st.Edges) != 3 || len(st.Nodes) != 6 || len(st.Regions) != 3 || !st.Ready || st.Topology.Stale {
			return fmt.Errorf("got %+v", st)
		}
		for _, n := range st.Nodes {
			if n.Health != "up" || n.Load == nil || n.Drain != "" {
				return fmt.Errorf("node %s: got %s, load %v, drain %q; want it up with a load", n.Name, n.Health, n.Load, n.Drain)
			}
		}
		return nil
	})
}

func getShows(t *testing.T, f *testFleet) {
	var nodes []topology.Node
	if err := json.Unmarshal([]byte(f.must("get", "nodes", "-o", "json")), &nodes); err != nil || len(nodes) != 6 {
		t.Errorf("json: got %d nodes, %v; want 6", len(nodes), err)
	}
	if out := f.must("get", "nodes", "-o", "table"); strings.Count(out, "mcp-") < 6 || !strings.Contains(out, "registered") {
		t.Errorf("table:\n%s", out)
	}
	if out := f.must("get", "nodes", "-o", "yaml"); strings.Count(out, "name: mcp-") != 6 {
		t.Errorf("yaml:\n%s", out)
	}
	for _, kind := range topology.Kinds {
		f.must("get", string(kind), "-o", "json")
	}
	if out := f.must("get", "pool", "mcp", "-o", "yaml"); !strings.Contains(out, "protocol: mcp") {
		t.Errorf("one pool: %s", out)
	}
	if _, errs, code := f.run("get", "pool", "nil"); code != 1 || !strings.Contains(errs, `there is no pool "nil"`) {
		t.Errorf("a pool that is not there: got %d %q", code, errs)
	}
	if _, errs, code := f.run("get", "endpoints"); code != 2 || strings.Count(errs, "\n") != 1 {
		t.Errorf("a kind that is none: got %d %q; want 2 and one line", code, errs)
	}
}

func explainShows(t *testing.T, f *testFleet) {
	var x admin.DNSExplanation
	if err := json.Unmarshal([]byte(f.must("explain", "dns", "mcp.edge.test", "--from", "81.2.69.160", "-o", "json")), &x); err != nil {
		t.Fatal(err)
	}
	if x.Region != "eu-central-1" || x.Place.Country != "GB" || len(x.Regions) != 3 || x.Regions[0].Region != "eu-central-1" || !x.Regions[0].Chosen {
		t.Errorf("dns: got %+v; want eu-central-1 for a client in GB, with all three regions considered", x)
	}
	var h admin.HTTPExplanation
	if err := json.Unmarshal([]byte(f.must("explain", "http", "POST", "http://mcp.edge.test/mcp", "-o", "json")), &h); err != nil {
		t.Fatal(err)
	}
	if h.Route != "mcp" || h.Pool != "mcp" || !strings.HasPrefix(string(h.Node), "mcp-us-east-1-") || len(h.Nodes) != 6 || h.Why == "" {
		t.Errorf("http: got %+v; want route, pool and a node of us-east-1 out of six", h)
	}
	if out := f.must("explain", "http", "POST", "http://mcp.edge.test/nothing"); !strings.Contains(out, "no route") {
		t.Errorf("a request without a route:\n%s", out)
	}
	for _, args := range [][]string{{"explain", "dns", "mcp.edge.test", "--from", "81.2.69.160"}, {"explain", "http", "POST", "http://mcp.edge.test/mcp"}} {
		if out := f.must(args...); !strings.Contains(out, "why") || !strings.Contains(out, "CHOSEN") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
}

// manySessions opens 50 sessions at once through each edge, half of each protocol era; each lists the tools and calls one
// several times. All calls of a legacy session must be answered by the worker that opened it, and of all calls at least the share that
// the edge says it keeps in its own region, which workers that are late for a moment leave at one.
func manySessions(t *testing.T, f *testFleet) {
	const sessions = 50
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stop := f.watchShares(ctx)
	var clients sync.WaitGroup
	var home [3]atomic.Int64 // calls that were answered in the edge's own region
	for n := range 3 {
		for i := range sessions {
			clients.Go(func() {
				version := []string{"", "2025-11-25"}[i%2]
				if err := oneSession(ctx, f.mcpURL(n), version, fmt.Sprintf("edge %d, session %d", n, i), regionNames[n], &home[n]); err != nil {
					t.Errorf("edge %d, session %d (protocol %q): %v", n, i, version, err)
				}
			})
		}
	}
	clients.Wait()
	for n, least := range stop() {
		// Four deviations of as many draws as there are sessions, whose calls go together, and a twentieth for what was tried elsewhere
		// after a failure.
		want := least - 4*math.Sqrt(least*(1-least)/sessions) - 0.05
		if got := float64(home[n].Load()) / (sessions * sessionCalls); got < want {
			t.Errorf("edge %d: %.0f %% of the calls were answered in its own region; it said that at least %.0f %% stay there", n, 100*got, 100*least)
		}
	}
}

// watchShares follows, until the function that it returns is called, what each edge says of the share that its own region gets. That
// function returns the least of each edge.
func (f *testFleet) watchShares(ctx context.Context) (stop func() [3]float64) {
	ctx, cancel := context.WithCancel(ctx)
	least := [3]float64{1, 1, 1}
	var watching sync.WaitGroup
	for n := range 3 {
		watching.Go(func() {
			for ctx.Err() == nil {
				x, err := (&admin.Client{URL: f.adminURL(n)}).ExplainHTTP(ctx, "POST", "http://mcp.edge.test/mcp")
				if err == nil && len(x.Tiers) > 0 {
					own := 0.0
					for _, tier := range x.Tiers {
						if string(tier.Region) == regionNames[n] {
							own += tier.Share
						}
					}
					least[n] = min(least[n], own)
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond): // the shares are made ten times a second, and change slowly
				}
			}
		})
	}
	return func() [3]float64 {
		cancel()
		watching.Wait()
		return least
	}
}

// sessionCalls is how many calls a session makes.
const sessionCalls = 5

var regionNames = []string{"us-east-1", "eu-central-1", "ap-southeast-1"}

func oneSession(ctx context.Context, url, version, text, region string, home *atomic.Int64) error {
	s, err := mcpSession(ctx, url, version)
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	defer s.Close()
	if got := s.InitializeResult(); (s.ID() == "") != (version == "") || got == nil || version != "" && got.ProtocolVersion != version {
		return fmt.Errorf("session %q with %+v for protocol %q", s.ID(), got, version)
	}
	tools, err := s.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("tools/list: %w", err)
	}
	names := map[string]bool{}
	for _, tool := range tools.Tools {
		names[tool.Name] = true
	}
	for _, want := range []string{"echo", "fleet_status", "locate_ip", "explain_route"} {
		if !names[want] {
			return fmt.Errorf("tools/list lacks %s: %v", want, names)
		}
	}
	worker := ""
	for i := range sessionCalls {
		e, err := echo(ctx, s, fmt.Sprintf("%s, call %d", text, i))
		if err != nil {
			return fmt.Errorf("tools/call: %w", err)
		}
		if s.ID() != "" && worker != "" && e.Worker != worker {
			return fmt.Errorf("the session moved from %s to %s", worker, e.Worker)
		}
		if e.Region == region {
			home.Add(1)
		}
		worker = e.Worker
	}
	return nil
}

func typeScriptClient(t *testing.T, f *testFleet) {
	if _, err := exec.LookPath("npm"); err != nil {
		skipLoudly(t, "npm is not installed (Debian: npm)")
	}
	out, err := exec.CommandContext(t.Context(), "../../scripts/ts-client.sh", f.mcpURL(0)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"echo"`) || !strings.Contains(string(out), "mcp-us-east-1-") {
		t.Errorf("got %v; want the tools and the worker's answer:\n%s", err, out)
	}
}

func drainRoundTrip(t *testing.T, f *testFleet) {
	const node = "node/mcp-us-east-1-1"
	out, errs, code := f.run("drain", node, "--wait", "--deadline", "1m", "--reason", "test")
	if code != 0 || !strings.Contains(out, "is drained") {
		t.Fatalf("drain: exit code %d\n%s%s", code, out, errs)
	}
	if out := f.must("get", "drains", "-o", "json"); !strings.Contains(out, `"reason": "test"`) || !strings.Contains(out, node) {
		t.Errorf("get drains: %s", out)
	}
	f.waitFor("the status shows the drain", 5*time.Second, func() error {
		if out := f.must("status"); !strings.Contains(out, "drained") {
			return fmt.Errorf("not in:\n%s", out)
		}
		return nil
	})
	c := newRawMCP(f.mcpURL(0))
	defer c.close()
	for i := range 10 {
		s, err := c.open(t.Context())
		if err != nil || s.worker == "mcp-us-east-1-1" {
			t.Errorf("session %d on a drained fleet: %v, %v; want it on the other worker", i, s, err)
		}
	}
	if out := f.must("undrain", node); !strings.Contains(out, "again") {
		t.Errorf("undrain: %s", out)
	}
	if out := f.must("undrain", node); !strings.Contains(out, "was not draining") {
		t.Errorf("undrain twice: %s", out)
	}
	if _, errs, code := f.run("drain", "node/nobody"); code != 1 || !strings.Contains(errs, `there is no node "nobody"`) {
		t.Errorf("drain of nobody: %d %q", code, errs)
	}
	if _, _, code := f.run("drain", "pool/mcp"); code != 2 {
		t.Errorf("drain of a pool: exit code %d; want 2", code)
	}
}
