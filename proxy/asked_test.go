// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"meridian/balancer"
	"meridian/internal/testnet"
	"meridian/proxy/exchange"
	"meridian/topology"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

var here = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func explainsTo(from []netip.Prefix) func(*Config) { return func(c *Config) { c.ExplainTo = from } }

// get asks with header fields given as "Name: value".
func (e *edge) get(path string, fields ...string) (status int, header http.Header) {
	e.t.Helper()
	req, err := http.NewRequest("GET", "http://"+e.addr+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	resp, err := client(e.t).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header
}

func TestEachRequestHasAnIdOfItsOwn(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		e := newEdge(t, func(c *Config) {
			if trusted {
				c.TrustedProxies = here
			}
		})
		ids := make(chan string, 1)
		e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { ids <- strings.Join(r.Header["X-Request-Id"], ",") })
		seen := map[string]bool{}
		for _, sent := range []string{"", "a-client.s:id_1", strings.Repeat("x", maxID), strings.Repeat("x", maxID+1), "a b", `a"b`, "-a"} {
			_, header := e.get("/", "X-Request-Id: "+sent)
			got := <-ids
			if kept := trusted && validID(sent); kept && got != sent || !kept && !uuid.MatchString(got) || seen[got] {
				t.Errorf("trusted %v, %q: the node got %q", trusted, sent, got)
			}
			if header.Get("X-Request-Id") != "" {
				t.Error("the client was told")
			}
			seen[got] = true
			testnet.Wait(t, "the log to have it", func() bool { return strings.Contains(e.logged(), `"id":"`+got+`"`) })
		}
	}
}

func TestAnAuthorisedClientIsToldWhy(t *testing.T) {
	e := newEdge(t, explainsTo(here))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header[askField]) > 0 {
			t.Error("the node got the question")
		}
		w.Header().Set(askField, "from the node")
	})
	_, header := e.get("/some/where", "X-Edge-Explain: 1")
	want := regexp.MustCompile(`^id=([0-9a-f-]{36}); route=web; pool=web; node=n1; why="latency region 1/1"; tries=1$`)
	m := want.FindStringSubmatch(header.Get(askField))
	if m == nil || len(header[askField]) != 1 {
		t.Fatalf("got %q", header[askField])
	}
	var x []RequestExplanation
	testnet.Wait(t, "the record", func() bool { x = e.s.ExplainRequest(m[1]); return len(x) == 1 && x[0].State == "done" })
	if g := x[0]; g.ID != m[1] || g.Method != "GET" || g.Host != e.addr || g.Path != "/some/where" || g.Route != "web" || g.Pool != "web" || g.Status != 200 || g.Took <= 0 ||
		len(g.Attempts) != 1 || g.Attempts[0].Why.Node != "n1" || g.Attempts[0].Short != "latency region 1/1" || g.Attempts[0].End != "" ||
		len(g.Attempts[0].Tiers) != 1 || g.Attempts[0].Tiers[0].Share != 1 || len(g.Attempts[0].Candidates) != 1 || g.Attempts[0].Candidates[0].Reason != "can be picked" {
		t.Errorf("got %+v", g)
	}
	if len(e.s.ExplainRequest("another")) != 0 {
		t.Error("there is a record of nobody's request")
	}
	// An answer of the edge's own is explained, too.
	if status, header := e.get("/mcp", "X-Edge-Explain: 1"); status != 503 && status != 400 && status != 404 || !strings.Contains(header.Get(askField), "route=mcp; pool=mcp; tries=0") {
		t.Errorf("%d %q", status, header.Get(askField))
	}
}

func TestNobodyElseIsTold(t *testing.T) {
	type fields = []string
	for name, c := range map[string]struct {
		to, trusted []netip.Prefix
		fields      fields
		told        bool
	}{
		"asked":                        {here, nil, fields{"X-Edge-Explain: 1"}, true},
		"not asked":                    {here, nil, nil, false},
		"asked wrongly":                {here, nil, fields{"X-Edge-Explain: yes"}, false},
		"asked twice":                  {here, nil, fields{"X-Edge-Explain: 1", "X-Edge-Explain: 1"}, false},
		"of nobody":                    {nil, nil, fields{"X-Edge-Explain: 1"}, false},
		"of others":                    {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil, fields{"X-Edge-Explain: 1"}, false},
		"through a program here":       {here, nil, fields{"X-Edge-Explain: 1", "X-Forwarded-For: 9.9.9.9"}, false},
		"through another program here": {here, nil, fields{"X-Edge-Explain: 1", "via: 1.1 x"}, false},
		"a proxy's own":                {here, here, fields{"X-Edge-Explain: 1"}, false},
		"a proxy's client":             {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, here, fields{"X-Edge-Explain: 1", "X-Forwarded-For: 10.1.2.3"}, true},
		"a proxy's stranger":           {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, here, fields{"X-Edge-Explain: 1", "X-Forwarded-For: 10.1.2.3, 9.9.9.9"}, false},
		"a proxy's loopback":           {here, here, fields{"X-Edge-Explain: 1", "X-Forwarded-For: 127.0.0.1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, explainsTo(c.to), func(f *Config) { f.TrustedProxies = c.trusted })
			e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
				if len(r.Header[askField]) > 0 {
					t.Error("the node got the question")
				}
			})
			_, header := e.get("/", c.fields...)
			if told := header.Get(askField) != ""; told != c.told {
				t.Errorf("told: %q", header.Get(askField))
			}
		})
	}
}

// TestEachTryHasItsOwnReason has one node refuse connections.
func TestEachTryHasItsOwnReason(t *testing.T) {
	e := newEdge(t, explainsTo(here))
	e.node("dead", "web", testnet.Unused(t))
	e.httpNode("well", "web", func(w http.ResponseWriter, r *http.Request) {})
	var told string
	testnet.Wait(t, "the dead one to be picked first", func() bool {
		_, header := e.get("/", "X-Edge-Explain: 1")
		told = header.Get(askField)
		return strings.Contains(told, "tries=2")
	})
	id := strings.TrimPrefix(strings.Split(told, ";")[0], "id=")
	var x []RequestExplanation
	testnet.Wait(t, "the record", func() bool { x = e.s.ExplainRequest(id); return len(x) == 1 })
	a := x[0].Attempts
	if len(a) != 2 || a[0].Why.Node != "dead" || !strings.Contains(a[0].End, "connect refused") || a[1].Why.Node != "well" || a[1].End != "" || len(a[1].Candidates) != 2 {
		t.Fatalf("got %+v", a)
	}
	var line struct {
		ID, Why string
		Failed  []struct{ Node, Why, End string }
	}
	testnet.Wait(t, "the line", func() bool { return strings.Contains(e.logged(), id) })
	for l := range strings.Lines(e.logged()) {
		if strings.Contains(l, id) {
			if err := json.Unmarshal([]byte(l), &line); err != nil {
				t.Fatalf("%v in %s", err, l)
			}
		}
	}
	if line.Why != a[1].Short || len(line.Failed) != 1 || line.Failed[0].Node != "dead" || line.Failed[0].Why != a[0].Short || line.Failed[0].End != a[0].End {
		t.Errorf("the log has %+v, the record %+v", line, a)
	}
}

// TestARequestThatIsUnderWayCanBeLookedAt looks at one in each state, though nobody has asked.
func TestARequestThatIsUnderWayCanBeLookedAt(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.TrustedProxies = here })
	e.set.Put(&topology.Pool{Name: "web", Queue: topology.Queue{Size: 10, Timeout: topology.Duration(testnet.Patience)}})
	next := make(chan bool)
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		<-next
		fmt.Fprint(w, "hello")
		w.(http.Flusher).Flush()
		<-next
	})
	n := *e.set[topology.Key{Kind: topology.KindNode, Name: "n1"}].(*topology.Node)
	n.Capacity.Connections = 1
	e.set.Put(&n)
	e.apply()
	done := make(chan bool)
	ask := func(id string) { e.get("/"+id, "X-Request-Id: "+id); done <- true }
	is := func(id, state string, bytes int64) RequestExplanation {
		t.Helper()
		var x []RequestExplanation
		testnet.Wait(t, id+" to be "+state, func() bool {
			x = e.s.ExplainRequest(id)
			return len(x) == 1 && x[0].State == state && x[0].BytesOut == bytes
		})
		return x[0]
	}
	go ask("first")
	if x := is("first", "waiting for head", 0); x.Path != "/first" || x.Route != "web" || len(x.Attempts) != 1 || x.Attempts[0].Why.Node != "n1" || x.Attempts[0].Short == "" {
		t.Errorf("got %+v", x)
	}
	go ask("second")
	if x := is("second", "waiting", 0); len(x.Attempts) != 0 || x.Took <= 0 {
		t.Errorf("got %+v", x)
	}
	next <- true
	is("first", "streaming", 5)
	next <- true
	<-done
	next <- true
	next <- true
	<-done
	testnet.Wait(t, "them to be gone", func() bool { return len(e.s.ExplainRequest("first"))+len(e.s.ExplainRequest("second")) == 0 })
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var l explainedLog
	at := time.Unix(1e9, 0)
	for i := range 3 * keptExplained {
		l.add(RequestExplanation{ID: fmt.Sprint(i % 2)}, at)
	}
	if len(l.kept) != keptExplained || len(l.find("0", at)) != maxExplained {
		t.Errorf("%d are kept, %d found", len(l.kept), len(l.find("0", at)))
	}
	big := Attempt{Candidates: make([]balancer.Candidate, maxShownCandidates), Tiers: make([]balancer.TierStats, 10)}
	for range 3 * keptExplained {
		l.add(RequestExplanation{ID: "big", Attempts: []Attempt{big, big, big, big, big, big, big, big, big, big}}, at)
	}
	if l.bytes > keptExplainedBytes || len(l.kept) > keptExplained/2 {
		t.Errorf("%d bytes in %d records", l.bytes, len(l.kept))
	}
	if n := len(l.find("big", at.Add(keptExplainedFor))); n != 0 {
		t.Errorf("%d are found after their time", n)
	}
	l.add(RequestExplanation{ID: "last"}, at.Add(2*keptExplainedFor))
	if len(l.kept) != 1 {
		t.Errorf("%d are kept after their time", len(l.kept))
	}
}

func TestOfManyCandidatesThoseThatCouldBePickedAreShown(t *testing.T) {
	e := newEdge(t)
	for i := range 50 {
		name := fmt.Sprintf("n%02d", i)
		e.node(name, "web", "127.0.0.1:1")
		if i < 20 {
			e.table.SetStanding(topology.NodeID(name), balancer.StandingEjected)
		}
	}
	var a asked
	a.look(e.table, "web")
	if len(a.view.Candidates) != maxShownCandidates || a.view.LeftOut != 18 || a.view.Candidates[0].Node != "n20" || a.view.Candidates[29].Node != "n49" || a.view.Candidates[30].Node != "n00" {
		t.Errorf("%d are shown and %d left out: %+v", len(a.view.Candidates), a.view.LeftOut, a.view.Candidates)
	}
}

func TestIdsAreMadeOfAllTheirBits(t *testing.T) {
	var b [idBytes]byte
	for want, in := range map[string][2]uint64{
		"00000000-0000-4000-8000-000000000000": {0, 0}, "ffffffff-ffff-4fff-bfff-ffffffffffff": {1<<64 - 1, 1<<64 - 1},
		"01234567-89ab-4def-bedc-ba9876543210": {0x0123456789abcdef, 0xfedcba9876543210},
	} {
		if makeID(&b, in[0], in[1]); string(b[:]) != want {
			t.Errorf("%s, want %s", b, want)
		}
	}
}

func FuzzValidID(f *testing.F) {
	f.Add("4f1c-a")
	f.Add("a\r\nb")
	f.Fuzz(func(t *testing.T, s string) {
		r := &relay{x: &exchange.Exchange{Request: exchange.Request{Header: exchange.Header{{Name: "x-request-id", Value: s}}}}}
		r.origin.trusted = true
		r.nameIt()
		if validID(s) != (r.id == s) || r.id == "" || len(r.id) > maxID || strings.ContainsFunc(r.id, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == ';' }) {
			t.Errorf("%q gives %q", s, r.id)
		}
	})
}
