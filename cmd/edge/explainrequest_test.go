// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"meridian/admin"
	"meridian/balancer"
	"meridian/internal/testnet"
)

func TestTheTablesOfExplainRequest(t *testing.T) {
	x := admin.RequestExplanation{
		ID: "an-id", Edge: "edge-eu", Method: "GET", Host: "a.test", Path: "/x", Route: "web", Pool: "web", State: "done", Status: 200,
		Took: 1500 * time.Millisecond, BytesOut: 5, Attempts: []admin.AttemptExplanation{
			{Pick: balancer.Why{Node: "n-1", RIF: 1, Score: 1}, Why: "latency zone 1/2", End: "no node could be reached (connect refused)"},
			{
				Pick: balancer.Why{Node: "n-2", RIF: 3, Hot: true, Score: 1.5}, Why: "latency region 2/2 hot", LeftOut: 7,
				Tiers:      []balancer.TierStats{{Tier: 1, Region: "eu", Policy: "latency", Share: 1, A: 1, Nodes: 8, Up: 8, Theta: 2}},
				Candidates: []balancer.Candidate{{Node: "n-2", Tier: 1, Standing: balancer.StandingUp, InFlight: 2, RIF: 2, Score: 1.5, Eligible: true, Reason: "can be picked"}},
			},
		},
	}
	want := `request  GET a.test/x
id       an-id
state    done after 1.5s, 5 bytes of the answer's body sent
status   200
route    web
pool     web
seen by  edge-eu

try 1   n-1: latency zone 1/2
load    1 with this one, hot no, score 1
failed  no node could be reached (connect refused)

try 2  n-2: latency region 2/2 hot
load   3 with this one, hot yes, score 1.5

TIER  REGION  ZONE  POLICY   SHARE  ROOM   NODES  UP  HOT ABOVE  PANIC
1     eu      -     latency  100 %  100 %  8      8   2          no

NODE  TIER  HEALTH  IN FLIGHT  LOAD  HOT  SCORE  ELIGIBLE  WHY
n-2   1     up      2          2     no   1.5    yes       can be picked
and 7 more nodes
`
	if diff := cmp.Diff(want, table(t, func(p *printer) { printRequest(p, x) })); diff != "" {
		t.Error(diff)
	}
}

// explainShowsARequest sends one that asks for it, and looks at it afterwards by the id that the answer has.
func explainShowsARequest(t *testing.T, f *testFleet) {
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.mcpURL(0), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Edge-Explain", "1")
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	told := resp.Header.Get("X-Edge-Explain")
	id, rest, _ := strings.Cut(strings.TrimPrefix(told, "id="), "; ")
	if !strings.HasPrefix(rest, `route=mcp; pool=mcp; node=mcp-us-east-1-`) || !strings.Contains(rest, `why="least_request region 1/3`) {
		t.Fatalf("the answer says %q", told)
	}
	var x []admin.RequestExplanation
	testnet.Wait(t, "the record", func() bool {
		out, _, code := f.run("explain", "request", id, "-o", "json")
		return code == 0 && json.Unmarshal([]byte(out), &x) == nil && len(x) == 1 && x[0].State == "done"
	})
	a := x[0].Attempts
	if x[0].Route != "mcp" || x[0].Edge != "edge-us-east-1" || len(a) != 1 || len(a[0].Tiers) != 3 || len(a[0].Candidates) != 6 || !strings.Contains(rest, string(a[0].Pick.Node)) {
		t.Errorf("got %+v", x[0])
	}
	if out := f.must("explain", "request", id); !strings.Contains(out, "try 1") || !strings.Contains(out, "ELIGIBLE") {
		t.Errorf("the table:\n%s", out)
	}
	if _, errs, code := f.run("explain", "request", "nobodys"); code != exitFailed || !strings.Contains(errs, "nobodys") {
		t.Errorf("of nobody: %d %q", code, errs)
	}
}
