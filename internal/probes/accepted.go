// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"strings"
	"testing"
)

// Accepted is a request that must reach the node as one well-formed request.
type Accepted struct {
	Name  string
	Bytes string
	// Line is the request line that the node gets, Body the request's body.
	Line, Body string
}

// Taken returns the probes that are accepted in HTTP/1.1. They leave the connection open.
func Taken() []Accepted {
	return []Accepted{
		{"plain", get + "\r\n", "GET / HTTP/1.1", ""},
		{"P0 one empty line before", "\r\n" + get + "\r\n", "GET / HTTP/1.1", ""},
		{"H0 upper case, port and final dot", "GET / HTTP/1.1\r\nHost: A.TeSt.:8080\r\n\r\n", "GET / HTTP/1.1", ""},
		{"H0 absolute form", "GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET /x?y HTTP/1.1", ""},
		{"H0 absolute form without path", "GET http://A.test HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1", ""},
		{"R0 spaces around values", "GET / HTTP/1.1\r\nhOsT:\t a.test \t\r\nX:y\r\n\r\n", "GET / HTTP/1.1", ""},
		{"S0 length", post + "Content-Length: 4\r\n\r\nabcd", "POST / HTTP/1.1", "abcd"},
		{"S0 length with zeros", post + "Content-Length: 0004\r\n\r\nabcd", "POST / HTTP/1.1", "abcd"},
		{"S0 no body", post + "Content-Length: 0\r\n\r\n", "POST / HTTP/1.1", ""},
		{"S0 no framing", post + "\r\n", "POST / HTTP/1.1", ""},
		{"S0 chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", "POST / HTTP/1.1", "abcd"},
		{"C0 small chunks", post + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n02\r\nbc\r\n1\r\nd\r\n0\r\n\r\n", "POST / HTTP/1.1", "abcd"},
		{"C0 extensions and capitals", post + "Transfer-Encoding: chunked\r\n\r\nA;a=b;c=\"d\"\r\n0123456789\r\n00;x\r\n\r\n", "POST / HTTP/1.1", "0123456789"},
		{"C0 trailer", post + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n", "POST / HTTP/1.1", "abcd"},
		{"Z1 GET with a body", get + "Content-Length: 36\r\n\r\n" + Smuggled, "GET / HTTP/1.1", Smuggled},
		{"Z1 GET with a chunked body", get + "Transfer-Encoding: chunked\r\n\r\n24\r\n" + Smuggled + "\r\n0\r\n\r\n", "GET / HTTP/1.1", Smuggled},
		{"Z2 OPTIONS with a body", "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 36\r\n\r\n" + Smuggled, "OPTIONS / HTTP/1.1", Smuggled},
		{"Z3 DELETE with a body", "DELETE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 36\r\n\r\n" + Smuggled, "DELETE / HTTP/1.1", Smuggled},
		{"Z4 Connection names Content-Length", post + "Connection: Content-Length\r\nContent-Length: 36\r\n\r\n" + Smuggled, "POST / HTTP/1.1", Smuggled},
		{"Z4 Connection names Transfer-Encoding", post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n" + Smuggled + "\r\n0\r\n\r\n", "POST / HTTP/1.1", Smuggled},
		{"Z5 Connection names Host and cookies", get + "Connection: close-not, Host, Authorization, Cookie\r\nAuthorization: a\r\nCookie: b\r\n\r\n", "GET / HTTP/1.1", ""},
		{"U1 h2c", get + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n", "GET / HTTP/1.1", ""},
		{"U2 h2c with a body", post + "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 36\r\n\r\n" + Smuggled, "POST / HTTP/1.1", Smuggled},
		{"U3 Upgrade that Connection does not name", get + "Upgrade: websocket\r\n\r\n", "GET / HTTP/1.1", ""},
	}
}

// Smuggled is 36 bytes that look like a request and are a body.
const Smuggled = "GET /smug HTTP/1.1\r\nHost: a.test\r\n\r\n"

// TakenMessage is a Message that must reach the node as one well-formed request.
type TakenMessage struct {
	Message
	// Line is the request line that the node gets.
	Line string
}

// TakenMessages returns those that are accepted in HTTP/2 and 3.
func TakenMessages() []TakenMessage {
	return []TakenMessage{
		{Message{Name: "GET", Fields: Head("GET", "/a?b")}, "GET /a?b HTTP/1.1"},
		{Message{Name: "host for authority", Fields: pairs(":method", "GET", ":scheme", "https", ":path", "/", "host", "a.test")}, "GET / HTTP/1.1"},
		{Message{Name: "cookies and te", Fields: Head("HEAD", "/", "cookie", "a=1", "te", "trailers", "x", "", "cookie", "b=2")}, "HEAD / HTTP/1.1"},
		{Message{Name: "OPTIONS", Fields: Head("OPTIONS", "/")}, "OPTIONS / HTTP/1.1"},
		{Message{Name: "a body with a length", Fields: Head("POST", "/", "content-length", "4"), Body: []string{"abcd"}}, "POST / HTTP/1.1"},
		{Message{Name: "a length with zeros and an end of its own", Fields: Head("PUT", "/", "content-length", "004"), Body: []string{"ab", "cd", ""}}, "PUT / HTTP/1.1"},
		{Message{Name: "a length of 0 and an end of its own", Fields: Head("POST", "/", "content-length", "0"), Body: []string{""}}, "POST / HTTP/1.1"},
		{Message{Name: "a body without length, and a trailer", Fields: Head("POST", "/"), Body: []string{"a", "", "bc"}, Trailer: pairs("x-sum", "1")}, "POST / HTTP/1.1"},
		{Message{Name: "a body that looks like a request", Fields: Head("DELETE", "/", "x", "y"), Body: []string{Smuggled}}, "DELETE / HTTP/1.1"},
	}
}

// CheckTaken holds what the node has seen to n times the message, and any number of canaries.
func (m *TakenMessage) CheckTaken(t testing.TB, node *Recorder, n int) {
	t.Helper()
	seen, _ := node.Take()
	for _, s := range seen {
		switch {
		case s.Line == canaryLine:
		case s.Line != m.Line || s.Body != strings.Join(m.Body, "") || s.Host != "a.test" || len(s.Trailer) != len(m.Trailer):
			t.Errorf("%s: the node saw %+v", m.Name, s)
		default:
			n--
		}
	}
	if n != 0 {
		t.Errorf("%s: the node saw it %d times too few", m.Name, n)
	}
}
