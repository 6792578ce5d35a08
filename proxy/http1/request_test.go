// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"meridian/proxy/exchange"
)

// accepted are requests that must be taken, each with what the handler must see.
var accepted = []struct{ name, in, want string }{
	{"plain", "GET /a?b=c HTTP/1.1\r\nHost: a.test\r\n\r\n", `200 GET /a?b=c host=a.test length=-2 body="" trailer=[]`},
	{"empty line before", "\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", `200 GET / host=a.test length=-2 body="" trailer=[]`},
	{"no space after the colon", "GET / HTTP/1.1\r\nhost:a.test:80\r\nX:\t y \t\r\n\r\n", `200 GET / host=a.test:80 length=-2 body="" trailer=[]`},
	{"absolute form", "GET http://a.test/x HTTP/1.1\r\nHost: A.test\r\n\r\n", `200 GET /x host=A.test length=-2 body="" trailer=[]`},
	{"absolute form without path", "GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", `200 GET / host=a.test length=-2 body="" trailer=[]`},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", `200 OPTIONS * host=a.test length=-2 body="" trailer=[]`},
	{"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", `200 GET / host=[::1]:8080 length=-2 body="" trailer=[]`},
	{"length", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", `200 POST / host=a.test length=5 body="hello" trailer=[]`},
	{"length zero", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 000\r\n\r\n", `200 POST / host=a.test length=0 body="" trailer=[]`},
	{"body on GET", "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx", `200 GET / host=a.test length=1 body="x" trailer=[]`},
	{"chunked", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00A;e=\"1\";f\r\n, world!!!\r\n0\r\n\r\n",
		`200 POST / host=a.test length=-1 body="hello, world!!!" trailer=[]`},
	{"trailer", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n",
		`200 POST / host=a.test length=-1 body="x" trailer=[{X-Sum 7}]`},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `200 GET / host= length=-2 body="" trailer=[]`},
	{"encoded bytes", "GET /a%20%e2%82%ac/..b/.c/d..?../%2f HTTP/1.1\r\nHost: a.test\r\n\r\n", `200 GET /a%20%e2%82%ac/..b/.c/d..?../%2f host=a.test length=-2 body="" trailer=[]`},
}

// canary follows each accepted request on its connection, to show where the request ended.
const canary = "GET /canary HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

func TestAcceptedRequestsAreReadTheSameHoweverTheyAreSplit(t *testing.T) {
	_, p := start(t, Config{Handler: echo})
	for _, c := range accepted {
		t.Run(c.name, func(t *testing.T) {
			in := c.in + canary
			for at := 1; at < len(in); at++ {
				conn := p.dial(t)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					io.WriteString(conn, in[:at])
					io.WriteString(conn, in[at:])
				}()
				got, err := answers(conn, 2, "GET")
				if err != nil || got[0] != c.want || !strings.HasPrefix(got[1], "200 GET /canary ") {
					t.Fatalf("split at %d: got %q, %v, want %q", at, got, err, c.want)
				}
				io.Copy(io.Discard, conn)
				conn.Close()
				<-sent
			}
		})
	}
}

// refusedRequests are those that must be refused, each with the status.
var refusedRequests = []struct {
	name, in string
	status   int
}{
	{"length and coding", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding and length", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
	{"length list", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1, 1\r\n\r\nx", 400},
	{"length plus", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\nx", 400},
	{"length minus", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\nx", 400},
	{"length hex", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x1\r\n\r\nx", 400},
	{"length empty", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\nx", 400},
	{"length decimal", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1.0\r\n\r\nx", 400},
	{"length exponent", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1e0\r\n\r\nx", 400},
	{"length spaces", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1 1\r\n\r\nx", 400},
	{"length of 2^63", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9223372036854775808\r\n\r\nx", 400},
	{"length underscore", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1_0\r\n\r\nx", 400},
	{"coding identity", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\n", 400},
	{"coding gzip, chunked", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding chunked, chunked", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
	{"two codings", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding xchunked", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
	{"coding with parameter", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400},
	{"coding with vertical tab", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400},
	{"coding quoted", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
	{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding empty", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n\r\n", 400},
	{"folded coding", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
	{"space before the colon", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost: a.test\r\nX\t: y\r\n\r\n", 400},
	{"space before the first name", "GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", 400},
	{"folded line", "GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\n z\r\n\r\n", 400},
	{"line of blanks", "GET / HTTP/1.1\r\nHost: a.test\r\n \r\n\r\n", 400},
	{"bare line feeds", "GET / HTTP/1.1\nHost: a.test\n\n", 400},
	{"bare line feed in a field", "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", 400},
	{"bare line feed at the end", "GET / HTTP/1.1\r\nHost: a.test\r\n\n", 400},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", 400},
	{"bare CR in a name", "GET / HTTP/1.1\r\nHost: a.test\r\nX\rY: b\r\n\r\n", 400},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: a.test\r\r\n\r\n", 400},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x00b\r\n\r\n", 400},
	{"no colon", "GET / HTTP/1.1\r\nHost: a.test\r\nX\r\n\r\n", 400},
	{"no name", "GET / HTTP/1.1\r\nHost: a.test\r\n: x\r\n\r\n", 400},
	{"name with a space", "GET / HTTP/1.1\r\nHost: a.test\r\nX Y: z\r\n\r\n", 400},
	{"name of 8 bits", "GET / HTTP/1.1\r\nHost: a.test\r\nX\x85: z\r\n\r\n", 400},
	{"no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
	{"two hosts", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400},
	{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
	{"host with user", "GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", 400},
	{"host with path", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400},
	{"host list", "GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", 400},
	{"host with bad port", "GET / HTTP/1.1\r\nHost: a.test:80x\r\n\r\n", 400},
	{"host with big port", "GET / HTTP/1.1\r\nHost: a.test:65536\r\n\r\n", 400},
	{"host encoded", "GET / HTTP/1.1\r\nHost: a%2etest\r\n\r\n", 400},
	{"host in brackets that is none", "GET / HTTP/1.1\r\nHost: [a.test]\r\n\r\n", 400},
	{"absolute form for another host", "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"absolute form without host", "GET http:/// HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"ftp", "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"relative target", "GET a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"asterisk for GET", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"target with a space", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"tab for space", "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"space before the method", " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"space after the version", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n", 400},
	{"no version", "GET /\r\nHost: a.test\r\n\r\n", 400},
	{"lower-case version", "GET / http/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"long version", "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", 400},
	{"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"method with a slash", "GE/T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"unknown method", "BREW / HTTP/1.1\r\nHost: a.test\r\n\r\n", 501},
	{"lower-case method", "get / HTTP/1.1\r\nHost: a.test\r\n\r\n", 501},
	{"CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 501},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	{"HTTP/9.9", "GET / HTTP/9.9\r\nHost: a.test\r\n\r\n", 505},
	{"HTTP/0.9 with version", "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", 505},
	{"PROXY protocol", "PROXY TCP4 6.6.6.6 1.1.1.1 1 2\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400},
	{"path /..", "GET /a/../b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path ending in ..", "GET /a/.. HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path /.", "GET /./a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %2e%2e", "GET /a/%2e%2E/b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path .%2e", "GET /a/.%2e/b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path ..;", "GET /a/..;x/b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path ..%3b", "GET /a/..%3bx/b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %2f and dots", "GET /a%2f..%2fb HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path dots and %2F", "GET /%2e%2e%2Fadmin HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %2f, dots at the end", "GET /a%2F.%2e HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %5c", "GET /a%5Cb HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path backslash", "GET /a\\b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %00", "GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path %0a", "GET /a%0ab HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path overlong", "GET /%c0%ae%c0%ae/a HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path half encoded", "GET /a%2 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path fragment", "GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"query fragment", "GET /a?b#c HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"path of 8 bits", "GET /\xe2\x82\xac HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
	{"Expect another", "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: x\r\nContent-Length: 1\r\n\r\nx", 417},
	{"Expect list", "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\nx", 417},
	{"two Expects", "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 417},
	{"long target", "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 414},
	{"long target without end", "GET /" + strings.Repeat("a", 9000), 414},
	{"long head", "GET / HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 40) + "\r\n", 431},
	{"many fields", "GET / HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("X: y\r\n", 101) + "\r\n", 431},
	{"one long field", "GET / HTTP/1.1\r\nHost: a.test\r\nX: " + strings.Repeat("y", 40000), 431},
}

func TestMalformedRequestsAreRefusedAndTheConnectionEnds(t *testing.T) {
	served := false
	_, p := start(t, Config{Handler: func(x *exchange.Exchange) { served = true; echo(x) }})
	for _, c := range refusedRequests {
		t.Run(c.name, func(t *testing.T) {
			served = false
			conn := p.dial(t)
			sent := make(chan struct{})
			go func() { defer close(sent); io.WriteString(conn, c.in+canary) }()
			got, err := answers(conn, 1, "GET")
			if err != nil || !strings.HasPrefix(got[0], fmt.Sprintf("%d ", c.status)) {
				t.Errorf("got %q, %v, want %d", got, err, c.status)
			}
			if more, _ := io.ReadAll(conn); len(more) > 0 {
				t.Errorf("after the refusal came %q", more)
			}
			conn.Close()
			<-sent
			if served {
				t.Error("the handler saw the request")
			}
		})
	}
}
