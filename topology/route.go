// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Route says what traffic goes to which pool.
type Route struct {
	Version Version `json:"version"`
	Name    RouteID `json:"name"`
	// Hosts are the names the route serves, exact ("api.example.org") or with one leading wildcard label
	// ("*.example.org", which does not match example.org itself). At most 64. Empty: any host.
	Hosts []string `json:"hosts,omitempty"`
	// PathPrefix matches whole segments: "/mcp" matches /mcp and /mcp/x, not /mcpx. Empty: "/".
	PathPrefix string `json:"path_prefix,omitempty"`
	// Methods are the request methods. Empty: any.
	Methods []string `json:"methods,omitempty"`
	// Pool is where the traffic goes.
	Pool PoolID `json:"pool"`
	// AllowedOrigins are the hosts that a browser's Origin may name on routes to MCP pools, besides the route's own hosts.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	Timeouts       Timeouts `json:"timeouts,omitzero"`
	// Tries is on how many nodes a request may be tried, the first included. Zero: 3. 1 to 10.
	Tries int `json:"tries,omitempty"`
	// MaxBodyBytes bounds a request's body; beyond it: 413. Zero: no bound, since bodies are streamed and cost no memory.
	// 1 to 1e15.
	MaxBodyBytes int `json:"max_body_bytes,omitempty"`
	// AllowEncodedSlash lets an encoded "/" (%2F) in the path through, as it stands; services that hold it for a part of a
	// name need it. False: 400, since others read it as a separator, and so another path than the route was chosen by.
	AllowEncodedSlash bool `json:"allow_encoded_slash,omitempty"`
}

// Timeouts bound the parts of one request.
type Timeouts struct {
	// Connect bounds the connection to one node. Zero: 1s. 1ms to 1m.
	Connect Duration `json:"connect,omitempty"`
	// FirstByte bounds the time from the end of the request to the head of the answer. Zero: 60s. 1ms to 1h.
	FirstByte Duration `json:"first_byte,omitempty"`
	// Idle bounds the silence between two reads of a body, in either direction. Zero: 5m; streams of an MCP pool are
	// silent for long. 1ms to 24h.
	Idle Duration `json:"idle,omitempty"`
	// Request bounds the whole request, from its first byte to the end of the answer; then: 504, or a broken answer.
	// Zero: none, since streams last. 1ms to 168h.
	Request Duration `json:"request,omitempty"`
}

// WithDefaults returns t with every zero field replaced by its default.
func (t Timeouts) WithDefaults() Timeouts {
	t.Connect = Duration(t.Connect.Or(time.Second))
	t.FirstByte = Duration(t.FirstByte.Or(time.Minute))
	t.Idle = Duration(t.Idle.Or(5 * time.Minute))
	return t
}

// EffectiveTries returns Tries with its default.
func (r *Route) EffectiveTries() int {
	if r.Tries == 0 {
		return 3
	}
	return r.Tries
}

// Key implements Resource.
func (r *Route) Key() Key { return Key{KindRoute, string(r.Name)} }

func (r *Route) check(c *checker) {
	c.version(r.Version)
	c.name("name", string(r.Name))
	c.name("pool", string(r.Pool))
	c.hosts("hosts", r.Hosts)
	c.hosts("allowed_origins", r.AllowedOrigins)
	if r.PathPrefix != "" {
		c.path("path_prefix", r.PathPrefix)
	}
	for i, m := range r.Methods {
		if !KnownMethod(m) {
			c.mistake(fmt.Sprintf("methods[%d]", i), "%q is not a method that an edge forwards; want one of %s", clip(m), strings.Join(methods, ", "))
		}
	}
	c.integer("tries", r.Tries, 1, 10)
	c.duration("timeouts.connect", r.Timeouts.Connect, time.Millisecond, time.Minute)
	c.duration("timeouts.first_byte", r.Timeouts.FirstByte, time.Millisecond, time.Hour)
	c.duration("timeouts.idle", r.Timeouts.Idle, time.Millisecond, 24*time.Hour)
	c.duration("timeouts.request", r.Timeouts.Request, time.Millisecond, 168*time.Hour)
	c.integer("max_body_bytes", r.MaxBodyBytes, 1, 1e15)
}

func (c *checker) hosts(field string, hosts []string) {
	if len(hosts) > maxHosts {
		c.mistake(field, "%d hosts; at most %d (make several routes)", len(hosts), maxHosts)
	}
	for i, h := range hosts {
		if !validHost(strings.TrimPrefix(h, "*.")) {
			c.mistake(fmt.Sprintf("%s[%d]", field, i), "%q is not a host; want a lower-case name without port, as in api.example.org or *.example.org", clip(h))
		}
	}
}

func (r *Route) refs(set Set, c *checker) { c.ref(set, "pool", KindPool, string(r.Pool)) }

// methods are those that RFC 9110, section 9 and RFC 5789 define, without CONNECT and TRACE.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}

// KnownMethod reports whether edges forward requests of the method.
func KnownMethod(m string) bool { return slices.Contains(methods, m) }
