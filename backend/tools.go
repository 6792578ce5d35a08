// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"meridian/topology"
)

// Ours: bounds of what a client may pass to a tool.
const (
	maxTextBytes   = 64 << 10
	maxURLBytes    = 8 << 10
	maxMethodBytes = 32
	maxDelay       = time.Minute
)

// errNoSnapshot is told to clients of the tools that read the topology.
var errNoSnapshot = errors.New("this worker has seen no topology yet; is it connected to etcd (backend serve --etcd)?")

// readOnly marks a tool that changes nothing and asks nobody outside, so that an edge may send a call of it twice.
func readOnly(title string) *mcp.ToolAnnotations {
	closed := false
	return &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: &closed}
}

func (w *Worker) addFleetTools(s *mcp.Server) {
	mcp.AddTool(s, &mcp.Tool{
		Name:        "fleet_status",
		Description: "Regions, edges, pools and nodes of the fleet, with counts and load, as this worker last saw the topology.",
		Annotations: readOnly("Fleet status"),
	}, w.fleetStatus)
	mcp.AddTool(s, &mcp.Tool{
		Name:        "explain_route",
		Description: "Which route, pool and nodes would serve an HTTP request.",
		Annotations: readOnly("Explain a route"),
	}, w.explainRoute)
	mcp.AddTool(s, &mcp.Tool{
		Name:        "echo",
		Description: "Returns the text, and says which worker in which region answered. delay_ms holds the answer back, at most 60000.",
		Annotations: readOnly("Echo"),
	}, w.echo)
	if w.cfg.Locate != nil {
		mcp.AddTool(s, &mcp.Tool{
			Name:        "locate_ip",
			Description: "Country, continent and coordinates of an IP address, and the network for which they hold.",
			Annotations: readOnly("Locate an address"),
		}, w.locateIP)
	}
}

type echoArgs struct {
	Text    string `json:"text" jsonschema:"what to return, at most 65536 bytes"`
	DelayMS int    `json:"delay_ms,omitempty" jsonschema:"how long to hold the answer back, in milliseconds, 0 to 60000"`
}

type echoAnswer struct {
	Text   string            `json:"text"`
	Worker topology.NodeID   `json:"worker"`
	Region topology.RegionID `json:"region"`
}

func (w *Worker) echo(ctx context.Context, _ *mcp.CallToolRequest, a echoArgs) (*mcp.CallToolResult, echoAnswer, error) {
	delay := time.Duration(a.DelayMS) * time.Millisecond
	switch {
	case len(a.Text) > maxTextBytes:
		return nil, echoAnswer{}, fmt.Errorf("text: %d bytes; at most %d", len(a.Text), maxTextBytes)
	case a.DelayMS < 0 || a.DelayMS > int(maxDelay.Milliseconds()):
		return nil, echoAnswer{}, fmt.Errorf("delay_ms: %d is out of bounds; want 0 to %d", a.DelayMS, maxDelay.Milliseconds())
	}
	if delay > 0 {
		wait(ctx, delay)
	}
	if err := ctx.Err(); err != nil {
		return nil, echoAnswer{}, fmt.Errorf("the call ended before its delay of %s: %w", delay, err)
	}
	text := &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: a.Text}}}
	return text, echoAnswer{a.Text, w.cfg.Name, w.cfg.Region}, nil
}

type locateArgs struct {
	IP string `json:"ip" jsonschema:"an IPv4 or IPv6 address, as in 81.2.69.160"`
}

type locateAnswer struct {
	IP        string  `json:"ip"`
	Known     bool    `json:"known"`
	Country   string  `json:"country,omitempty"`
	Continent string  `json:"continent,omitempty"`
	Latitude  float64 `json:"latitude,omitempty"`
	Longitude float64 `json:"longitude,omitempty"`
	Prefix    string  `json:"prefix,omitempty"`
	Source    string  `json:"source,omitempty"`
}

func (w *Worker) locateIP(_ context.Context, _ *mcp.CallToolRequest, a locateArgs) (*mcp.CallToolResult, locateAnswer, error) {
	ip, err := netip.ParseAddr(strings.TrimSpace(a.IP))
	if err != nil {
		return nil, locateAnswer{}, fmt.Errorf("ip: %q is not an IP address; want one as in 81.2.69.160 or 2001:db8::1", clip(a.IP))
	}
	ip = ip.WithZone("")
	p := w.cfg.Locate(ip)
	out := locateAnswer{IP: ip.String(), Known: p.Known, Country: p.Country, Continent: p.Continent, Source: p.Source}
	if p.Known {
		out.Latitude, out.Longitude = p.Latitude, p.Longitude
	}
	if p.Prefix.IsValid() {
		out.Prefix = p.Prefix.String()
	}
	return nil, out, nil
}

type routeArgs struct {
	Method string `json:"method" jsonschema:"the HTTP method, as in POST"`
	URL    string `json:"url" jsonschema:"the whole URL, as in http://mcp.edge.test/mcp"`
}

type routeAnswer struct {
	Matched bool             `json:"matched"`
	Why     string           `json:"why"`
	Route   topology.RouteID `json:"route,omitempty"`
	Pool    topology.PoolID  `json:"pool,omitempty"`
	Nodes   []nodeStatus     `json:"nodes"`
}

func (w *Worker) explainRoute(_ context.Context, _ *mcp.CallToolRequest, a routeArgs) (*mcp.CallToolResult, routeAnswer, error) {
	method, host, path, err := parseRequest(a)
	if err != nil {
		return nil, routeAnswer{}, err
	}
	snap := w.cfg.Snapshot()
	if snap == nil {
		return nil, routeAnswer{}, errNoSnapshot
	}
	r := snap.Match(method, host, path)
	if r == nil {
		return nil, routeAnswer{Why: fmt.Sprintf("none of %d routes takes %s %s on host %q", len(snap.Routes), method, path, host), Nodes: []nodeStatus{}}, nil
	}
	nodes := nodesOf(snap, r.Pool)
	why := fmt.Sprintf("route %s takes %s %s on host %q; pool %s has %d nodes", r.Name, method, path, host, r.Pool, len(nodes))
	return nil, routeAnswer{true, why, r.Name, r.Pool, nodes}, nil
}

// parseRequest reads what an edge would match: host in lower case without port and final dot, path without query.
func parseRequest(a routeArgs) (method, host, path string, err error) {
	if a.Method == "" || len(a.Method) > maxMethodBytes || strings.ContainsFunc(a.Method, notLetter) {
		return "", "", "", fmt.Errorf("method: %q is not an HTTP method; want one as in POST", clip(a.Method))
	}
	if len(a.URL) > maxURLBytes {
		return "", "", "", fmt.Errorf("url: %d bytes; at most %d", len(a.URL), maxURLBytes)
	}
	u, err := url.Parse(a.URL)
	if err == nil {
		host = strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	}
	if host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", "", "", fmt.Errorf("url: %q is not a URL; want one as in http://mcp.edge.test/mcp", clip(a.URL))
	}
	path = u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.ToUpper(a.Method), host, path, nil
}

func notLetter(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }

// clip bounds what an error repeats of a stranger's text.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	s = s[:most]
	for !utf8.ValidString(s) && s != "" {
		s = s[:len(s)-1]
	}
	return s + "…"
}
