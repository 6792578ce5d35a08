// SPDX-License-Identifier: Apache-2.0

package mcp_test

import (
	"testing"

	"meridian/mcp"
	"meridian/topology"

	"github.com/google/go-cmp/cmp"
)

func TestASessionsRequestsStickToItsWorker(t *testing.T) {
	bad := &mcp.Refusal{Status: 400}
	for _, c := range []struct {
		name  string
		class mcp.Class
		bound topology.NodeID
		known bool
		want  mcp.Action
	}{
		{"plain", mcp.Class{Kind: mcp.Plain}, "", false, mcp.Action{Do: mcp.Balance}},
		{"modern", mcp.Class{Era: mcp.Modern, Kind: mcp.Post}, "", false, mcp.Action{Do: mcp.Balance}},
		{"initialize, or no sessions", mcp.Class{Kind: mcp.Post}, "", false, mcp.Action{Do: mcp.Balance}},
		{"a known session", mcp.Class{Kind: mcp.Post, SessionID: "s"}, "w1", true, mcp.Action{Do: mcp.Stick, Node: "w1"}},
		{"a known session's stream", mcp.Class{Kind: mcp.Stream, SessionID: "s"}, "w1", true, mcp.Action{Do: mcp.Stick, Node: "w1"}},
		{"a known session's end", mcp.Class{Kind: mcp.Delete, SessionID: "s"}, "w1", true, mcp.Action{Do: mcp.Stick, Node: "w1"}},
		{"an unknown session may be initialized anew", mcp.Class{Kind: mcp.Post, SessionID: "s"}, "", false, mcp.Action{Do: mcp.RefuseUnlessInitialize, Refusal: mcp.NotFound}},
		{"an unknown session's stream", mcp.Class{Kind: mcp.Stream, SessionID: "s"}, "", false, mcp.Action{Do: mcp.Refuse, Refusal: mcp.NotFound}},
		{"an unknown session's end", mcp.Class{Kind: mcp.Delete, SessionID: "s"}, "", false, mcp.Action{Do: mcp.Refuse, Refusal: mcp.NotFound}},
		{"a refused request", mcp.Class{Kind: mcp.Post, Err: bad}, "w1", true, mcp.Action{Do: mcp.Refuse, Refusal: bad}},
	} {
		if diff := cmp.Diff(c.want, c.class.Route(c.bound, c.known)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestResponsesBindAndDropSessions(t *testing.T) {
	post, stream, end := mcp.Class{Kind: mcp.Post, SessionID: "s"}, mcp.Class{Kind: mcp.Stream, SessionID: "s"}, mcp.Class{Kind: mcp.Delete, SessionID: "s"}
	for _, c := range []struct {
		name   string
		class  mcp.Class
		status int
		id     string
		want   mcp.Effect
	}{
		{"initialize", mcp.Class{Kind: mcp.Post}, 200, "new", mcp.Effect{Bind: "new"}},
		{"initialize without a session", mcp.Class{Kind: mcp.Post}, 200, "", mcp.Effect{}},
		{"initialize that failed", mcp.Class{Kind: mcp.Post}, 500, "new", mcp.Effect{}},
		{"an id that is none", mcp.Class{Kind: mcp.Post}, 200, "a b", mcp.Effect{}},
		{"an id that is repeated", post, 200, "s", mcp.Effect{}},
		{"initialize in a session", post, 200, "new", mcp.Effect{Bind: "new"}},
		{"a notification", post, 202, "", mcp.Effect{}},
		{"modern never binds", mcp.Class{Era: mcp.Modern, Kind: mcp.Post}, 200, "new", mcp.Effect{}},
		{"modern 404 is an unknown method", mcp.Class{Era: mcp.Modern, Kind: mcp.Post}, 404, "", mcp.Effect{}},
		{"plain 404", mcp.Class{Kind: mcp.Plain}, 404, "", mcp.Effect{}},
		{"plain never binds", mcp.Class{Kind: mcp.Plain}, 200, "new", mcp.Effect{}},
		{"404 without a session", mcp.Class{Kind: mcp.Post}, 404, "", mcp.Effect{}},
		{"404 to a POST", post, 404, "", mcp.Effect{Drop: "s"}},
		{"404 to a GET", stream, 404, "", mcp.Effect{Drop: "s"}},
		{"404 to a DELETE", end, 404, "", mcp.Effect{Drop: "s"}},
		{"DELETE 200", end, 200, "s", mcp.Effect{Drop: "s"}},
		{"DELETE 204", end, 204, "", mcp.Effect{Drop: "s"}},
		{"DELETE is not supported", end, 405, "", mcp.Effect{}},
		{"a second stream", stream, 409, "", mcp.Effect{}},
		{"a stream never binds", stream, 200, "other", mcp.Effect{}},
		{"a worker that is briefly away", post, 503, "", mcp.Effect{}},
	} {
		if diff := cmp.Diff(c.want, c.class.Response(c.status, c.id)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
