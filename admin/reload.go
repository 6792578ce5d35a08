// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Reloaded is the answer to a reload: what changed, or why nothing did.
type Reloaded struct {
	Changed  []string `json:"changed"` // paths of fields in edge.yaml
	Mistakes []string `json:"mistakes,omitempty"`
}

// The one request that changes something. A page in a browser can make neither of them: the header needs a preflight,
// which is refused, and the Host check refuses a rebound name.
const (
	reloadPath   = "/api/v1/reload"
	reloadHeader = "X-Meridian-Reload"
)

// reload serves POST /api/v1/reload. The admin address has no access control, so only this machine may ask.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, "a reload changes something: ask with POST, or with edge reload")
	case r.Header.Get(reloadHeader) == "":
		refuse(w, http.StatusForbidden, "the header %s is missing; ask with edge reload", reloadHeader)
	case !fromThisMachine(r):
		refuse(w, http.StatusForbidden, "only this machine may reload the edge; log in there")
	default:
		changed, mistakes := s.cfg.Reload()
		if len(mistakes) > 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		reply(w, Reloaded{changed, mistakes})
	}
}

// fromThisMachine reports whether the peer is on loopback, or has the address that it has asked: nobody else's packets come
// from there.
func fromThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	if peer.Addr().Unmap().IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap() == peer.Addr().Unmap()
}

// Reload has the edge read its configuration again. An error means that the edge did not answer; mistakes are in Reloaded.
func (c Client) Reload(ctx context.Context) (Reloaded, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second // a large geo database takes seconds
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out Reloaded
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+reloadPath, nil)
	if err != nil {
		return out, fmt.Errorf("--admin %q is not a URL; want http://HOST:PORT", c.URL)
	}
	req.Header.Set(reloadHeader, "1")
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return out, fmt.Errorf("no edge answers at %s (%w); is it running? give its admin address with --admin", c.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return out, fmt.Errorf("read %s: %w", req.URL, err)
	}
	if resp.StatusCode == http.StatusUnprocessableEntity && json.Unmarshal(body, &out) == nil {
		return out, nil
	}
	return out, decode(resp, body, &out)
}
