// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"strings"
)

// Message is a request that must be refused, apart from how a version of HTTP writes it down.
type Message struct {
	Name string
	// Fields come in this order, the pseudo-header fields of RFC 9113, section 8.3.1 among them.
	Fields []Field
	// Body has the DATA frames or chunks. Without any, and without Trailer, the head ends the request.
	Body []string
	// Trailer comes behind the body.
	Trailer []Field
	// Status are those by which it may be refused. Empty: 400. Where 400 is among them, HTTP/2 and 3 may reset the stream as
	// malformed instead: RFC 9113, section 8.1.1 and RFC 9114, section 4.1.2.
	Status []int
	// Late says that the head is right: the node may get a part of the request, but never the whole of it.
	Late bool
	// Later says that HTTP/1.1 cannot write it, or reads it as something else.
	Later bool
	// Secure says that it is wrong only over TLS.
	Secure bool
}

// Head returns the fields of a request for https://a.test and more of them, as names and values.
func Head(method, path string, more ...string) []Field {
	return pairs(append([]string{":method", method, ":scheme", "https", ":authority", "a.test", ":path", path}, more...)...)
}

func pairs(s ...string) (out []Field) {
	for i := 0; i < len(s); i += 2 {
		out = append(out, Field{s[i], s[i+1]})
	}
	return out
}

// repeated is n times the same field.
func repeated(n int, name, value string) []string {
	var out []string
	for range n {
		out = append(out, name, value)
	}
	return out
}

// HTTP1 writes the message in HTTP/1.1: with its own Content-Length if it has one, else chunked.
func (m *Message) HTTP1() string {
	var method, path, fields string
	length := false
	for _, f := range m.Fields {
		switch f.Name {
		case ":method":
			method = f.Value
		case ":path":
			path = f.Value
		case ":authority":
			fields += "Host: " + f.Value + "\r\n"
		case ":scheme":
		default:
			length = length || f.Name == "content-length"
			fields += f.Name + ": " + f.Value + "\r\n"
		}
	}
	head := method + " " + path + " HTTP/1.1\r\n" + fields
	switch {
	case len(m.Body) == 0 && len(m.Trailer) == 0:
		return head + "\r\n"
	case length:
		return head + "\r\n" + strings.Join(m.Body, "")
	}
	head += "Transfer-Encoding: chunked\r\n\r\n"
	for _, b := range m.Body {
		head += fmt.Sprintf("%x\r\n%s\r\n", len(b), b)
	}
	head += "0\r\n"
	for _, f := range m.Trailer {
		head += f.Name + ": " + f.Value + "\r\n"
	}
	return head + "\r\n"
}

// Messages returns all of them. /small must be a route that takes bodies of 10 bytes, b.test the host of another certificate.
func Messages() (out []Message) {
	for _, group := range [][]Message{pseudoFields(), methods(), messageTargets(), authorities(), fieldBytes(), hopByHop(), messageLengths(), messageTrailers(), refusedElse()} {
		out = append(out, group...)
	}
	return out
}

// pseudoFields are in HTTP/2 and 3 what the request line is in HTTP/1.1.
func pseudoFields() (out []Message) {
	for _, c := range []struct {
		name   string
		fields []Field
	}{
		{"no :method", pairs(":scheme", "https", ":authority", "a.test", ":path", "/")},
		{"no :scheme", pairs(":method", "GET", ":authority", "a.test", ":path", "/")},
		{"no :path", pairs(":method", "GET", ":scheme", "https", ":authority", "a.test")},
		{"no :authority and no host", pairs(":method", "GET", ":scheme", "https", ":path", "/")},
		{"empty :authority and a host", pairs(":method", "GET", ":scheme", "https", ":authority", "", ":path", "/", "host", "a.test")},
		{"empty :scheme", pairs(":method", "GET", ":scheme", "", ":authority", "a.test", ":path", "/")},
		{":scheme with a host", pairs(":method", "GET", ":scheme", "http://localhost/?", ":authority", "a.test", ":path", "/")},
		{":scheme of another protocol", pairs(":method", "GET", ":scheme", "ftp", ":authority", "a.test", ":path", "/")},
		{":scheme with a line", pairs(":method", "GET", ":scheme", "https\r\nx: y", ":authority", "a.test", ":path", "/")},
		{"two :method", Head("GET", "/", ":method", "POST")},
		{"two :method that agree", Head("GET", "/", ":method", "GET")},
		{"two :scheme", Head("GET", "/", ":scheme", "http")},
		{"two :path", Head("GET", "/", ":path", "/admin")},
		{"two :path that agree", Head("GET", "/", ":path", "/")},
		{"two :authority", Head("GET", "/", ":authority", "b.test")},
		{"two :authority that agree", Head("GET", "/", ":authority", "a.test")},
		{":path behind a field", pairs(":method", "GET", ":scheme", "https", ":authority", "a.test", "x", "y", ":path", "/")},
		{":path behind a cookie", pairs(":method", "GET", ":scheme", "https", ":authority", "a.test", "cookie", "x=y", ":path", "/")},
		{":status", Head("GET", "/", ":status", "200")},
		{":protocol without CONNECT", Head("GET", "/", ":protocol", "websocket")},
		{"unknown pseudo-header field", Head("GET", "/", ":x", "y")},
		{"pseudo-header field without name", Head("GET", "/", ":", "y")},
		{":Path in upper case", pairs(":method", "GET", ":scheme", "https", ":authority", "a.test", ":Path", "/")},
		{"nothing", pairs("x", "y")},
		{"CONNECT with :path", Head("CONNECT", "/")},
		{":method with a line", Head("GET / HTTP/1.1\r\nX: y", "/")},
		{":path with a line", Head("GET", "/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nx: y")},
		{":authority with a line", pairs(":method", "GET", ":scheme", "https", ":authority", "a.test\r\nx: y", ":path", "/")},
		{"absolute form of the same host", Head("GET", "http://a.test/")},
		{"absolute form without path", Head("GET", "https://a.test")},
		{"absolute form of OPTIONS", Head("OPTIONS", "https://a.test/")},
		{"two slashes and a host as :path *", Head("OPTIONS", "*//a.test")},
	} {
		out = append(out, Message{Name: c.name, Fields: c.fields, Later: true})
	}
	connect := pairs(":method", "CONNECT", ":authority", "backend:80")
	return append(out,
		Message{Name: "CONNECT without :authority", Fields: pairs(":method", "CONNECT"), Later: true, Status: []int{400, 405, 501}},
		Message{Name: "CONNECT with empty :authority", Fields: pairs(":method", "CONNECT", ":authority", ""), Later: true, Status: []int{400, 405, 501}},
		Message{Name: "CONNECT", Fields: connect, Later: true, Status: []int{405, 501}},
		Message{Name: "CONNECT with a request in DATA", Fields: connect, Body: []string{Smuggled}, Later: true, Status: []int{405, 501}},
		Message{Name: "CONNECT with a length", Fields: append(connect, Field{"content-length", "36"}), Body: []string{Smuggled}, Later: true, Status: []int{400, 405, 501}},
		Message{Name: "extended CONNECT", Fields: Head("CONNECT", "/", ":protocol", "websocket"), Body: []string{Smuggled}, Later: true, Status: []int{400, 405, 501}})
}

func methods() (out []Message) {
	for _, m := range append(otherMethods, "", "G\x00T", "G(T", "\"GET\"", "GET:", "GET /", " GET", "GET ", "G\tT", "GET\r\n", "P\u00d6ST") {
		out = append(out, Message{Name: fmt.Sprintf("method %.12q", m), Fields: Head(m, "/"), Status: []int{400, 405, 501}})
	}
	return out
}

func messageTargets() (out []Message) {
	for _, of := range [][]string{Paths, EncodedSlashes, otherTargets, {"", "/a b", "/a\tb", "/a?b c", "/a?\x00", "/\xff", "/a?\xff", "/ HTTP/1.1", "/\r\n"}} {
		for _, path := range of {
			out = append(out, Message{Name: fmt.Sprintf("path %q", path), Fields: Head("GET", path)})
		}
	}
	return append(out,
		Message{Name: "* with more", Fields: Head("OPTIONS", "*/x")},
		Message{Name: "a long path", Fields: Head("GET", "/"+strings.Repeat("a", 9000)), Status: []int{414}},
		Message{Name: "10,001 parameters", Fields: Head("GET", "/?"+strings.Repeat("a&", 10001)), Status: []int{414}})
}

func authorities() (out []Message) {
	for _, host := range append(otherHosts, "a.test:80@b", "a.test\r", "a.test\n", "b.test#@a.test", "a.test\\@b.test") {
		out = append(out,
			Message{Name: fmt.Sprintf("authority %.30q", host), Fields: pairs(":method", "GET", ":scheme", "https", ":authority", host, ":path", "/")},
			Message{Name: fmt.Sprintf("host %.30q", host), Fields: pairs(":method", "GET", ":scheme", "https", ":path", "/", "host", host), Later: true})
	}
	return append(out,
		Message{Name: "host is not the authority", Fields: Head("GET", "/", "host", "b.test")},
		Message{Name: "host is the authority with a port", Fields: Head("GET", "/", "host", "a.test:443")},
		Message{Name: "empty host", Fields: Head("GET", "/", "host", "")},
		Message{Name: "two hosts", Fields: Head("GET", "/", "host", "a.test", "host", "a.test")},
		Message{Name: "two hosts without authority", Fields: pairs(":method", "GET", ":scheme", "https", ":path", "/", "host", "a.test", "host", "a.test")},
		Message{Name: "another certificate's host", Fields: pairs(":method", "GET", ":scheme", "https", ":authority", "b.test", ":path", "/"), Status: []int{421}, Secure: true})
}

// fieldBytes are names and values that some version of HTTP would read as more than one field, or as another.
func fieldBytes() (out []Message) {
	add := func(later bool, name, value string) {
		out = append(out, Message{Name: fmt.Sprintf("field %q: %.20q", name, value), Fields: Head("GET", "/", name, value), Later: later})
	}
	for _, b := range append(nonTokens, "\r", "\n", "\r\n", ": ", "\u00ad") {
		add(b == ": ", "x"+b+"y", "z")
	}
	for _, b := range []string{" ", "\t", "\x0b", "\xa0"} {
		add(false, "x"+b, "z")
		add(true, b+"x", "z")
	}
	for _, name := range []string{"Foo", "X", "foo: bar\r\nx", "transfer-encoding: chunked\r\nx", "x:"} {
		add(true, name, "y")
	}
	add(false, "", "y")
	add(true, "", "")
	for _, b := range append(nonValues, "\n", "\r\n ", "\n ") {
		add(false, "x", "a"+b+"b")
	}
	for _, v := range []string{"a\r\nTransfer-Encoding: chunked\r\nX: y", "a\r\n\r\n" + Smuggled, "\ta\t", " a", "a ", "\t", "\r\n"} {
		add(true, "x", v)
	}
	for _, v := range []string{"a\x00b", "a\r\nx: y", "a\nb"} {
		add(true, "cookie", v)
	}
	return out
}

// hopByHop are fields that HTTP/2 and 3 don't have: RFC 9113, section 8.2.2. In HTTP/1.1 they are dropped, see Spoofed.
func hopByHop() (out []Message) {
	for _, f := range []Field{
		{"connection", "close"}, {"connection", "x-forwarded-for"}, {"connection", ""}, {"keep-alive", "timeout=5"}, {"proxy-connection", "keep-alive"}, {"transfer-encoding", "chunked"}, {"transfer-encoding", "identity"}, {"transfer-encoding", ""},
		{"upgrade", "h2c"}, {"upgrade", "websocket"}, {"te", "gzip"}, {"te", "trailers, gzip"}, {"te", ""}, {"te", "Trailers;q=0.5"},
	} {
		out = append(out, Message{Name: f.Name + ": " + f.Value, Fields: Head("GET", "/", f.Name, f.Value), Later: true})
	}
	return append(out, Message{Name: "transfer-encoding and a length", Fields: Head("POST", "/", "transfer-encoding", "chunked", "content-length", "4"), Body: []string{"abcd"}, Later: true})
}

// messageLengths contradict themselves, or what comes.
func messageLengths() (out []Message) {
	for _, v := range otherLengths {
		out = append(out, Message{Name: fmt.Sprintf("length %q", v), Fields: Head("POST", "/", "content-length", v), Body: []string{"abcd"}})
	}
	out = append(out,
		Message{Name: "two lengths", Fields: Head("POST", "/", "content-length", "4", "content-length", "5"), Body: []string{"abcd"}},
		Message{Name: "two lengths that agree", Fields: Head("POST", "/", "content-length", "4", "content-length", "4"), Body: []string{"abcd"}})
	for _, c := range []struct {
		method, length string
		body           []string
	}{
		{"POST", "0", []string{Smuggled}}, {"GET", "0", []string{Smuggled}}, {"POST", "0", []string{"", "x"}}, {"POST", "5", []string{"123456"}}, {"POST", "5", []string{"12345", "6"}}, {"POST", "5", []string{"1234"}},
		{"POST", "5", nil}, {"POST", "5", []string{""}}, {"GET", "5", nil}, {"GET", "5", []string{"12345", Smuggled}}, {"HEAD", "5", nil}, {"DELETE", "1", nil}, {"PUT", "9223372036854775807", []string{"x"}},
	} {
		out = append(out, Message{
			Name: fmt.Sprintf("%s with length %s and %.10q", c.method, c.length, c.body), Fields: Head(c.method, "/", "content-length", c.length), Body: c.body,
			Later: true, Late: true, // in HTTP/3 the end of a stream is no part of its head
		})
	}
	return out
}

func messageTrailers() (out []Message) {
	add := func(later bool, s ...string) {
		out = append(out, Message{
			Name: fmt.Sprintf("trailer %d: %.12q: %.20q", len(s)/2, s[0], s[1]), Fields: Head("POST", "/"), Body: []string{"abcd"}, Trailer: pairs(s...),
			Late: true, Later: later,
		})
	}
	for _, f := range []Field{
		{":path", "/"}, {":status", "200"}, {":method", "GET"}, {":x", "y"}, {"content-length", "4"}, {"content-length", "0"}, {"transfer-encoding", "chunked"}, {"connection", "close"}, {"keep-alive", "1"}, {"upgrade", "h2c"},
		{"te", "gzip"}, {"X", "y"}, {"foo: bar\r\nx", "y"}, {"x", "a\r\nb: c"}, {"x", "\ta"}, {"x", "a "},
	} {
		add(true, f.Name, f.Value)
	}
	for _, f := range []Field{{"", "y"}, {"a b", "y"}, {"x ", "y"}, {"x\x00", "y"}, {"x", "a\x00b"}, {"x", "a\rb"}, {"x", "a\nb"}, {"x", "a\x7f"}} {
		add(false, f.Name, f.Value)
	}
	add(false, repeated(33, "x", "y")...)
	add(false, "x", strings.Repeat("y", 9000))
	add(false, "x", strings.Repeat("y", 40000))
	add(false, repeated(2000, "x", "")...)
	return append(out, Message{
		Name: "trailer with a length that is kept", Fields: Head("POST", "/", "content-length", "4"), Body: []string{"abcd"}, Trailer: pairs("content-length", "4"),
		Late: true, Later: true,
	})
}

// refusedElse have a right form and are too much, or ask for what nobody does.
func refusedElse() []Message {
	out := []Message{
		{Name: "a long field", Fields: Head("GET", "/", "x", strings.Repeat("x", 40000)), Status: []int{431}},
		{Name: "a long name", Fields: Head("GET", "/", strings.Repeat("x", 40000), ""), Status: []int{431}},
		{Name: "long fields", Fields: Head("GET", "/", repeated(40, "x", strings.Repeat("x", 1000))...), Status: []int{431}},
		{Name: "many fields", Fields: Head("GET", "/", repeated(101, "x", "y")...), Status: []int{431}},
		{Name: "many empty fields", Fields: Head("GET", "/", repeated(900, "x", "")...), Status: []int{431}},
		{Name: "long cookies", Fields: Head("GET", "/", repeated(9, "cookie", strings.Repeat("x", 4058))...), Status: []int{431}},
		{Name: "a long body by its length", Fields: Head("POST", "/small", "content-length", "11"), Body: []string{"0123456789a"}, Status: []int{413}},
		{Name: "a long body in pieces", Fields: Head("POST", "/small"), Body: []string{"01234", "56789a"}, Status: []int{413}, Late: true},
		{Name: "our own Via", Fields: Head("GET", "/", "via", "1.1 meridian"), Status: []int{508}},
		{Name: "our own Via among others", Fields: Head("GET", "/", "via", "1.1 a, 2.0 meridian (x), 3.0 b"), Status: []int{508}},
	}
	for _, v := range []string{"y 100-continue", "100-continue, x", "x", "", "100-continue;q=1", "100 continue", "200-ok"} {
		out = append(out, Message{Name: fmt.Sprintf("expect %q", v), Fields: Head("POST", "/", "expect", v), Body: []string{"abcd"}, Status: []int{417}})
	}
	for _, v := range []string{"-1", "+1", "1, 1", "x", "", "99999999999", "1;q=1"} {
		out = append(out, Message{Name: fmt.Sprintf("max-forwards %q", v), Fields: Head("OPTIONS", "/", "max-forwards", v)})
	}
	return append(out,
		Message{Name: "two max-forwards", Fields: Head("OPTIONS", "/", "max-forwards", "1", "max-forwards", "1")},
		Message{Name: "two expects", Fields: Head("POST", "/", "expect", "100-continue", "expect", "100-continue"), Body: []string{"abcd"}, Status: []int{417}})
}
