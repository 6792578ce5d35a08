// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"meridian/balancer"
	"meridian/topology"
)

// RequestExplanation is what has become of one request so far, and why.
type RequestExplanation struct {
	ID       string           `json:"id"`
	Edge     topology.EdgeID  `json:"edge"`
	Received time.Time        `json:"received"`
	Method   string           `json:"method"`
	Host     string           `json:"host"`
	Path     string           `json:"path"` // the first 256 bytes
	Route    topology.RouteID `json:"route,omitempty"`
	Pool     topology.PoolID  `json:"pool,omitempty"`
	// State is "waiting" for a place, "connecting" to a node, "waiting for head" of the answer, "streaming" that, "tunnel", or "done".
	State string `json:"state"`
	// Status is what the client got, 0 before; Took the time until now or the end.
	Status   int           `json:"status,omitempty"`
	Took     time.Duration `json:"took_ns"`
	BytesOut int64         `json:"bytes_out"`
	Err      string        `json:"err,omitempty"`
	// Attempts are the tries on nodes, in their order.
	Attempts []AttemptExplanation `json:"attempts"`
}

// AttemptExplanation is one try on a node.
type AttemptExplanation struct {
	Pick balancer.Why `json:"pick"`
	// Why is the reason in short, as the access log has it.
	Why string `json:"why"`
	// End is why the try failed, empty for one that did not or is under way.
	End string `json:"end,omitempty"`
	// Tiers and Candidates are as the pick found them, only of a request that asked for it; LeftOut is how many candidates are not shown.
	Tiers      []balancer.TierStats `json:"tiers,omitempty"`
	Candidates []balancer.Candidate `json:"candidates,omitempty"`
	LeftOut    int                  `json:"left_out,omitempty"`
}

// ExplainRequest returns what is known of the requests with an id: those under way, and those that asked for it and have ended.
func (c Client) ExplainRequest(ctx context.Context, id string) ([]RequestExplanation, error) {
	var x []RequestExplanation
	return x, c.get(ctx, "/api/v1/explain/request", url.Values{"id": {id}}, &x)
}

func (s *Server) explainRequest(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	if id == "" {
		refuse(w, http.StatusBadRequest, "id is missing; want one as in id=4f1c…, from the access log or X-Request-Id")
		return
	}
	found := s.cfg.ExplainRequest(id)
	if len(found) == 0 {
		refuse(w, http.StatusNotFound, "no request %q is under way on this edge, and none was explained in the last ten minutes; "+
			"ask another edge, or send the request with X-Edge-Explain: 1", clipped(id))
		return
	}
	reply(w, found)
}

// clipped bounds what is repeated of a stranger's words.
func clipped(s string) string { return s[:min(len(s), 128)] }
