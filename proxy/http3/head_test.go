// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"meridian/internal/probes"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/strict"
)

// FuzzHead holds what we accept of what quic-go hands on, as it goes to a node of HTTP/1.1, against the readings of others. Fields come
// as lines.
func FuzzHead(f *testing.F) {
	for _, m := range append(probes.Messages(), probes.Canary) {
		var method, path, host, fields string
		for _, x := range m.Fields {
			switch x.Name {
			case ":method":
				method = x.Value
			case ":path":
				path = x.Value
			case ":authority":
				host = x.Value
			default:
				fields += x.Name + ": " + x.Value + "\n"
			}
		}
		if len(path)+len(fields) < 1024 {
			f.Add(method, path, host, fields)
		}
	}
	s := NewServer(Config{Handler: func(*exchange.Exchange) {}}, NewKeys())
	f.Fuzz(func(t *testing.T, method, path, host, fields string) {
		if path == "" || len(fields) > 8<<10 {
			return // quic-go refuses it
		}
		r := &http.Request{Method: method, RequestURI: path, Host: host, Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}
		for line := range strings.Lines(fields) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			r.Header.Add(name, value)
		}
		st := newStream(s, httptest.NewRecorder(), r)
		if st.read(r) != nil || st.x.Length > 0 {
			return
		}
		x := &st.x
		for _, field := range x.Header {
			if !strict.IsToken(field.Name) || !strict.IsValue(field.Value) || strict.SameName(field.Name, "Host") || strict.SameName(field.Name, "Content-Length") || strict.SameName(field.Name, "Connection") {
				t.Fatalf("a field %q", field)
			}
		}
		x.Header.Del("Te")
		wire := http1.AppendRequest(nil, &http1.Outgoing{Method: x.Method, Target: x.Target, Host: x.Host, Header: x.Header, Length: x.Length})
		if x.Length == exchange.LengthUnknown {
			wire = http1.AppendLastChunk(wire, nil)
		}
		probes.Oracle(t, wire, &probes.Reading{Method: x.Method, Target: x.Target, Host: x.Host, Path: x.Path}, true)
	})
}
