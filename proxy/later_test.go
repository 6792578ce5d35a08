// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"meridian/internal/probes"
	"meridian/topology"
)

// overLater runs f for each version of HTTP that has its fields in blocks.
func overLater(t *testing.T, f func(t *testing.T, e *edge, node *probes.Recorder, ask func(*probes.Message) probes.Outcome)) {
	for _, of := range probeEngines {
		t.Run(of.name, func(t *testing.T) {
			e, node := probesEdge(t)
			if engine := of.make(t, e); !engine.HTTP1 {
				f(t, e, node, engine.Ask)
			}
		})
	}
}

func TestInLaterVersionsAPathReachesTheNodeAsItIs(t *testing.T) {
	overLater(t, func(t *testing.T, e *edge, node *probes.Recorder, ask func(*probes.Message) probes.Outcome) {
		check := func(path string) {
			t.Helper()
			node.Take()
			o := ask(&probes.Message{Fields: probes.Head("GET", path)})
			if seen, _ := node.Take(); o.Status != 200 || len(seen) != 1 || seen[0].Line != "GET "+path+" HTTP/1.1" {
				t.Errorf("%s: got %+v, the node %+v", path, o, seen)
			}
		}
		for _, path := range probes.LiteralPaths {
			check(path)
		}
		e.set.Put(&topology.Route{Name: "web", Pool: "web", AllowEncodedSlash: true})
		e.apply()
		for _, path := range probes.EncodedSlashes {
			check(path)
		}
		node.Take()
		for _, path := range probes.Paths {
			if o := ask(&probes.Message{Fields: probes.Head("GET", path)}); o.Status != 400 && !o.Malformed {
				t.Errorf("%s, where %%2F is allowed: got %+v", path, o)
			}
		}
		if seen, bytes := node.Take(); bytes > 0 {
			t.Errorf("the node got %d bytes, %+v", bytes, seen)
		}
	})
}

// connectionSpecific are fields that make a message of later versions malformed.
var connectionSpecific = []string{"keep-alive", "proxy-connection", "te"}

func TestInLaterVersionsNoFieldPassesByWhichAClientIsAnother(t *testing.T) {
	overLater(t, func(t *testing.T, e *edge, node *probes.Recorder, ask func(*probes.Message) probes.Outcome) {
		head := probes.Message{Fields: probes.Head("POST", "/", "authorization", "a", "cookie", "b"), Body: []string{"abcd"}}
		clean := func(name string) {
			t.Helper()
			seen, _ := node.Take()
			if len(seen) != 1 {
				t.Errorf("%s: the node saw %+v", name, seen)
				return
			}
			for k, v := range seen[0].Header {
				if all := strings.Join(v, " "); strings.Contains(all, "evil") || strings.Contains(all, "6.6.6.6") || all == "66" || len(v) > 1 {
					t.Errorf("%s: the node got %s: %q", name, k, v)
				}
			}
			if len(seen[0].Trailer) > 0 {
				t.Errorf("%s: the node got the trailer %v", name, seen[0].Trailer)
			}
			if h := seen[0].Header; h.Get("Authorization") != "a" || h.Get("Cookie") != "b" || h.Get("X-Forwarded-For") != "127.0.0.1" || seen[0].Host != "a.test" {
				t.Errorf("%s: the node got %v for %s", name, h, seen[0].Host)
			}
		}
		all := head
		for _, f := range probes.Spoofed {
			name := strings.ToLower(f.Name)
			if slices.Contains(connectionSpecific, name) {
				continue
			}
			all.Fields = append(slices.Clip(all.Fields), probes.Field{Name: name, Value: f.Value})
			behind := head
			behind.Trailer = []probes.Field{{Name: name, Value: f.Value}}
			node.Take()
			switch o := ask(&behind); {
			case o.Status == 200:
				clean("trailer " + name)
			case o.Status != 400 && !o.Malformed:
				t.Errorf("trailer %s: got %+v", name, o)
			}
		}
		node.Take()
		if o := ask(&all); o.Status != 200 {
			t.Fatalf("got %+v", o)
		}
		clean("head")
	})
}

func TestFramesOfUnknownTypesArePassedOver(t *testing.T) {
	e, node := probesEdge(t)
	for _, secure := range []bool{false, true} {
		c := dialH2(t, e, secure)
		for kind := xhttp2.FrameType(0x0a); kind <= 0x0f; kind++ {
			node.Take()
			id := c.next
			c.next += 2
			for _, on := range []uint32{0, id} {
				c.WriteRawFrame(kind, 0xff, on, nil)
				if on == id {
					c.writeBlock(id, probes.Head("POST", "/"), false)
				}
				c.WriteRawFrame(kind, 0, on, []byte("GET / HTTP/1.1\r\n\r\n"))
			}
			c.WriteData(id, true, []byte("abcd"))
			o := c.outcome(id)
			if seen, _ := node.Take(); o.Status != 200 || len(seen) != 1 || seen[0].Body != "abcd" {
				t.Errorf("type %#x: got %+v, the node %+v", kind, o, seen)
			}
		}
		// In a header block nothing else may come, of whatever type: RFC 9113, section 6.10.
		c.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: c.next, BlockFragment: hpackBlock(probes.Head("GET", "/")), EndStream: true})
		c.WriteRawFrame(0x0a, 0, c.next, nil)
		if o := c.outcome(c.next); o.Else != "goaway PROTOCOL_ERROR" {
			t.Errorf("in a header block: got %+v", o)
		}
		c.Close()
	}
}

func TestATrailerThatDoesNotEndTheStreamIsNone(t *testing.T) {
	e, node := probesEdge(t)
	for _, secure := range []bool{false, true} {
		for _, length := range [][]string{nil, {"content-length", "4"}} {
			c := dialH2(t, e, secure)
			c.writeBlock(1, probes.Head("POST", "/", length...), false)
			c.WriteData(1, false, []byte("abcd"))
			c.next = 3
			c.pause()
			c.writeBlock(1, []probes.Field{{Name: "x", Value: "y"}}, false)
			if o := c.outcome(1); !o.Malformed {
				t.Errorf("got %+v", o)
			}
			c.Close()
		}
	}
	if seen, _ := node.Take(); slices.ContainsFunc(seen, func(s probes.Seen) bool { return s.Line != "GET /canary HTTP/1.1" }) {
		t.Errorf("the node saw %+v", seen)
	}
}
