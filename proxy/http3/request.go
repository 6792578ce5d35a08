// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	xhttp3 "github.com/quic-go/quic-go/http3"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// serve makes an exchange of a request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	st := newStream(s, w, r)
	handler := s.config().Handler
	if refusal := st.read(r); refusal != nil {
		s.config().Refused(st.x.Client, refusal)
		handler = answer(refusal.Status, refusal.Reason)
	}
	st.handle(handler)
	if !st.headed && !st.aborted {
		answer(500, "the edge could not answer the request")(&st.x)
	}
	(*reply)(st).Unwatch()
	if !st.ended {
		panic(http.ErrAbortHandler) // quic-go resets the stream
	}
}

// handle runs the handler. A panic costs the one request.
func (st *stream) handle(h exchange.Handler) {
	defer func() {
		if v := recover(); v != nil {
			st.s.config().Panicked(v, debug.Stack())
		}
	}()
	h(&st.x)
}

// answer is a handler that gives a small answer of the engine's own.
func answer(status int, reason string) exchange.Handler {
	return func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: status, Length: int64(len(reason) + 1), Header: exchange.Header{
			{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		}})
		io.WriteString(x.Reply, reason+"\n")
		x.Reply.End(nil)
	}
}

// read makes the exchange. quic-go has refused what RFC 9114, section 4.1.2 calls malformed.
func (st *stream) read(r *http.Request) (refused *strict.Refusal) {
	x := &st.x
	x.Client, x.Listener = peerOf(r), st.s.listenerAt
	x.ClientIP = x.Client.Addr().String()
	x.Received = time.Now()
	x.Body, x.Reply = (*body)(st), (*reply)(st)
	x.Scheme, x.Protocol = "https", "3"
	x.Method = r.Method
	if r.TLS != nil {
		x.ServerName = r.TLS.ServerName
	}
	if refused = strict.Method(r.Method); refused != nil {
		return refused
	}
	l := st.s.config().Limits
	if len(r.Method)+len(r.RequestURI) > l.TargetBytes {
		return strict.Refuse(414, "the target is longer than %d bytes", l.TargetBytes)
	}
	if x.Target, x.Path, _, refused = strict.ParseTarget(r.Method, r.RequestURI); refused != nil {
		return refused
	}
	if x.Header, refused = header(r, l); refused != nil {
		return refused
	}
	if x.Host, refused = strict.TakeHost(&x.Header, r.Host, true); refused != nil {
		return refused
	}
	expects, refused := strict.TakeExpect(&x.Header)
	if refused != nil {
		return refused
	}
	st.awaits = expects
	return st.readLength(r)
}

// peerOf returns the client's address, without reading it from text.
func peerOf(r *http.Request) netip.AddrPort {
	addr, _ := r.Context().Value(xhttp3.RemoteAddrContextKey).(net.Addr)
	return clientOf(addr)
}

// header takes over the fields, by the rules of all engines. Fields of one name keep their order.
func header(r *http.Request, l strict.Limits) (h exchange.Header, _ *strict.Refusal) {
	size := len(":method:scheme:authority:path") + 4*32 + len(r.Method) + len("https") + len(r.Host) + len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			if size += len(name) + len(v) + 32; size > l.HeadBytes { // as RFC 9114, section 4.2.2 counts
				return nil, strict.Refuse(431, "the head is larger than %d bytes", l.HeadBytes)
			}
			switch {
			case !strict.IsToken(name) || !strict.IsValue(v):
				return nil, strict.Refuse(400, "the field %q is malformed", strict.Clip(name))
			case strict.SameName(name, "Te") && v != "trailers", strict.SameName(name, "Transfer-Encoding"), strict.SameName(name, "Connection"),
				strict.SameName(name, "Upgrade"), strict.SameName(name, "Keep-Alive"), strict.SameName(name, "Proxy-Connection"):
				return nil, strict.Refuse(400, "the field %q is not one of HTTP/3", strict.Clip(name))
			case strict.SameName(name, "Content-Length"):
				continue
			}
			if h.Add(name, v); len(h) > l.Fields {
				return nil, strict.Refuse(431, "more than %d header fields", l.Fields)
			}
		}
	}
	return h, nil
}

// readLength finds out whether there is a body. Without a declared length only the stream's end tells, which comes with the
// head of a request that should have no body.
func (st *stream) readLength(r *http.Request) *strict.Refusal {
	if v := r.Header["Content-Length"]; len(v) > 0 {
		n, ok := strict.ParseLength(strings.Join(v, ","))
		if !ok {
			return strict.Refuse(400, "Content-Length %q is not a number of bytes", strict.Clip(v[0]))
		}
		if st.x.Length = n; n == 0 { // what comes behind it may make it malformed, and a node would take the head for the whole of it
			return st.readAhead()
		}
		return nil
	}
	st.x.Length = exchange.LengthUnknown
	switch r.Method {
	case "GET", "HEAD", "DELETE", "OPTIONS":
		if refused := st.readAhead(); refused != nil {
			return refused
		}
		if st.over && len(st.ahead) == 0 {
			st.x.Length = exchange.LengthNone
		}
	}
	return nil
}

// readAhead waits for the body's first byte or its end.
func (st *stream) readAhead() *strict.Refusal {
	var b [1]byte
	n, err := (*body)(st).Read(b[:])
	st.ahead = append(st.ahead, b[:n]...)
	var refused *strict.Refusal
	switch {
	case err == nil, err == io.EOF:
		return nil
	case errors.As(err, &refused):
		return refused
	}
	return strict.Refuse(408, "the request did not end within %s", st.s.config().BodyTimeout)
}
