// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"strings"
)

// Probe is a request that must be refused, as bytes.
type Probe struct {
	// Name begins with the group and number, as in "S06 a sign".
	Name string
	// Bytes are sent at once. What follows them, if the refusal did not end the connection, would be taken for a request.
	Bytes string
	// Status are those that the refusal may have. Empty: 400.
	Status []int
}

const (
	get  = "GET / HTTP/1.1\r\nHost: a.test\r\n"
	post = "POST / HTTP/1.1\r\nHost: a.test\r\n"
	end  = "0\r\n\r\n"
)

// Refused returns all probes that must be refused in HTTP/1.1.
func Refused() []Probe {
	var out []Probe
	for _, group := range [][]Probe{framing(), lengths(), codings(), lines(), limits(), requestLines(), hosts(), targets(), paths(), expectations(), prefaces(), chunks()} {
		out = append(out, group...)
	}
	return out
}

// framing are conflicts of Content-Length and Transfer-Encoding.
func framing() []Probe {
	return []Probe{
		{Name: "S01 CL and TE", Bytes: post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + end},
		{Name: "S02 TE and CL", Bytes: post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + end},
		{Name: "S03 two CLs that differ", Bytes: post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"},
		{Name: "S04 two CLs that agree", Bytes: post + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"},
		{Name: "S05 two TEs", Bytes: post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + end},
	}
}

// each makes a probe of each of values, put into the place of %s.
func each(name, form string, values ...string) (out []Probe) {
	for _, v := range values {
		out = append(out, Probe{Name: fmt.Sprintf("%s %q", name, v), Bytes: fmt.Sprintf(form, v)})
	}
	return out
}

func lengths() []Probe {
	return each("S06 CL", post+"Content-Length: %s\r\n\r\nabcd", otherLengths...)
}

// otherLengths are not the number of bytes of "abcd" as 1*DIGIT.
var otherLengths = []string{
	"+4", "-4", "-0", "0x4", "4e0", "4.0", "4,4", "4, 4", "4 4", "4;", "4\t4", "", "\"4\"", "four", "9223372036854775808", "99999999999999999999999", "4\x00", "\u0664", "4_0", "4L", "1e1000", "+0",
}

// codings are Transfer-Encoding in forms that some recipient reads as chunked and another does not.
func codings() []Probe {
	out := each("S07 TE", post+"Transfer-Encoding: %s\r\n\r\n"+end,
		"identity", "xchunked", "chunked, identity", "identity, chunked", "gzip, chunked", "chunked, chunked", "chunked;q=1", "\"chunked\"", "'chunked'", "chunked\x0b", "\x0bchunked",
		"chunked\x00", "\x00chunked", "chunk ed", "chunked,", ",chunked", "x", "", "chünked", "chunked\xa0", "\xa0chunked", "chunked\xc2\x85", "\xc2\xadchunked",
		"=?iso-8859-1?B?Y2h1bmtlZA==?=", "chunked\\", "chunkeD\u0131", "gzip", "deflate", "chunked chunked", "chunked\x7f")
	for _, line := range []string{
		"Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "\tTransfer-Encoding: chunked",
		"Transfer-Encoding:\r\n chunked", "Transfer-Encoding:\r\n\tchunked", "Transfer-Encoding:\r\n \r\n chunked", "Transfer-Encoding\r\n : chunked", "Transfer-Encoding\n : chunked",
		"Foo: bar\r\n Transfer-Encoding: chunked", "Foo: bar\rTransfer-Encoding: chunked", "Foo: bar\nTransfer-Encoding: chunked", "Foo: bar\n\x0bTransfer-Encoding: chunked", "Foo: bar\r\n\rTransfer-Encoding: chunked",
		"Tra\rnsfer-Encoding: chunked", "Transfer-Encoding x: chunked", "Transfer-Encoding\\: chunked", "Transfer-Encoding\x00: chunked", "\x00Transfer-Encoding: chunked", "Transfer\xc2\xadEncoding: chunked",
		"Transfer-Encoding\xa0: chunked", "Transfer-Encoding", "Transfer-Encoding:chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked", ": chunked\r\nTransfer-Encoding: chunked",
		"TRANSFER-ENCODING: chunked\r\nContent-Length: 4", "transfer-encoding:chunked\r\ncontent-length:4",
	} {
		out = append(out, Probe{Name: fmt.Sprintf("S08 %q", line), Bytes: post + line + "\r\n\r\n" + end})
	}
	return append(out, Probe{Name: "S12 TE in HTTP/1.0", Bytes: "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + end})
}

// lines are about line ends and the form of field lines.
func lines() []Probe {
	out := []Probe{
		{Name: "S13 bare LF ends every line", Bytes: "GET / HTTP/1.1\nHost: a.test\n\n"},
		{Name: "S14 bare LF ends one line", Bytes: "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n"},
		{Name: "S15 LF LF ends the head", Bytes: "GET / HTTP/1.1\r\nHost: a.test\n\n"},
		{Name: "S16 LF CR LF ends the head", Bytes: "GET / HTTP/1.1\r\nHost: a.test\n\r\n"},
		{Name: "S17 CR alone ends lines", Bytes: "GET / HTTP/1.1\rHost: a.test\r\r\n\r\n"},
		{Name: "S18 a folded line", Bytes: get + "X: a\r\n b\r\n\r\n"},
		{Name: "S18 a folded line of the first field", Bytes: "GET / HTTP/1.1\r\n Host: a.test\r\nHost: a.test\r\n\r\n"},
		{Name: "S21 a line without colon", Bytes: get + "X\r\n\r\n"},
		{Name: "S21 an empty name", Bytes: get + ": x\r\n\r\n"},
	}
	out = append(out, each("S19 byte in a value", get+"X: a%sb\r\n\r\n", nonValues...)...)
	out = append(out, each("S20 byte in a name", get+"X%sY: z\r\n\r\n", nonTokens...)...)
	return append(out, each("S22 space before the colon", get+"X%s: z\r\n\r\n", " ", "\t", "\x0b", "\xa0")...)
}

// Bytes that no field's value may have, and bytes that no name may.
var (
	nonValues = []string{"\x00", "\x01", "\r", "\x08", "\x0b", "\x0c", "\x1b", "\x7f"}
	nonTokens = []string{" ", "\t", "\x00", "(", ")", ",", "/", ";", "<", "=", ">", "?", "@", "[", "\\", "]", "{", "}", "\"", "\x80", "\xff", "\x7f"}
)

// chunks are chunked bodies.
func chunks() []Probe {
	form := post + "Transfer-Encoding: chunked\r\n\r\n%s"
	out := each("C", form,
		"1 \r\nx\r\n"+end, "1\t\r\nx\r\n"+end, " 1\r\nx\r\n"+end, "+1\r\nx\r\n"+end, "-1\r\nx\r\n"+end, "0x1\r\nx\r\n"+end, "1h\r\nx\r\n"+end, "\r\nx\r\n"+end, ";\r\nx\r\n"+end, "g\r\nx\r\n"+end,
		"1,1\r\nx\r\n"+end, "1.\r\nx\r\n"+end, "1_0\r\nx\r\n"+end, "ffffffffffffffff\r\nx\r\n"+end, "10000000000000001\r\nx\r\n"+end, "8000000000000000\r\nx\r\n"+end, strings.Repeat("0", 40)+"1\r\nx\r\n"+end,
		"1\nx\r\n"+end, "1\rx\r\n"+end, "1\r\nx\n"+end, "1\r\nx"+end, "1\r\nxy\r\n"+end, "1\r\n\r\n"+end, "1\r\nx\r\n0\n\n", "1\r\nx\r\n0\r\n\n", "1\r\nx\r\n0\n\r\n", "1\r\nx\r\n\r\n"+end,
		"1;\x00\r\nx\r\n"+end, "1;a\nb\r\nx\r\n"+end, "1;a\rb\r\nx\r\n"+end, "1;\x7f\r\nx\r\n"+end, "1;\x80\r\nx\r\n"+end, "1 ;a\r\nx\r\n"+end, "1;"+strings.Repeat("a", 5000)+"\r\nx\r\n"+end, "1a\r\nx\r\n"+end+"zzzzzzzzzzzzzzzzzzzzzzzzzzzz",
		strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100)+end)
	trailer := each("C trailer", form, // the end of the head follows
		end[:3]+" x: y\r\n\r\n", end[:3]+"x : y\r\n\r\n", end[:3]+"x\r\n\r\n", end[:3]+"x: y\n\r\n", end[:3]+"x: a\x00\r\n\r\n", end[:3]+"x: a\r\n b\r\n\r\n", end[:3]+"x: "+strings.Repeat("y", 9000)+"\r\n\r\n",
		end[:3]+strings.Repeat("x: y\r\n", 200)+"\r\n", end[:3]+": x\r\n\r\n")
	return append(out, trailer...)
}

func limits() []Probe {
	return []Probe{
		{"L1 a long request line", "GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", []int{414}},
		{"L2 a long head", get + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 40) + "\r\n", []int{431}},
		{"L3 many fields", get + strings.Repeat("X: y\r\n", 200) + "\r\n", []int{431}},
		{"L4 a long field", get + "X: " + strings.Repeat("x", 40000) + "\r\n\r\n", []int{431}},
	}
}

// requestLines are about the request line and whether there is a Host.
func requestLines() []Probe {
	out := each("R1 line", "%s\r\nHost: a.test\r\n\r\n",
		"GET / ", "GET /", "GET", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET /\x0bHTTP/1.1", "GET / HTTP/1.1 x", "GET /a b HTTP/1.1",
		"GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.1.1", "GET / HTTP/01.1", "GET / HTTP/1.10", "GET / HTTP/ 1.1", "GET / HTTP/1,1", "GET / HTTP/+1.1", "GET / XTTP/1.1", "GET / HTTP/1.1\x00", "G\x00T / HTTP/1.1", "G(T / HTTP/1.1", "\"GET\" / HTTP/1.1", "GET: / HTTP/1.1")
	for _, v := range []string{"0.9", "1.2", "2.0", "3.0", "9.9"} {
		out = append(out, Probe{"R2 version " + v, "GET / HTTP/" + v + "\r\nHost: a.test\r\n\r\n", []int{505}})
	}
	for _, m := range otherMethods {
		out = append(out, Probe{"R3 method " + m[:min(len(m), 10)], m + " / HTTP/1.1\r\nHost: a.test\r\n\r\n", []int{400, 405, 501}})
	}
	return append(out,
		Probe{Name: "R4 CONNECT", Bytes: "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", Status: []int{400, 405, 501}},
		Probe{Name: "R5 no Host", Bytes: "GET / HTTP/1.1\r\n\r\n"},
		Probe{Name: "R5 no Host, other fields", Bytes: "GET / HTTP/1.1\r\nX: y\r\n\r\n"},
		Probe{Name: "R6 HTTP/0.9", Bytes: "GET /\r\n\r\n"},
		Probe{Name: "R7 two Hosts", Bytes: get + "Host: b.test\r\n\r\n"},
		Probe{Name: "R7 two Hosts that agree", Bytes: get + "Host: a.test\r\n\r\n"},
		Probe{Name: "R7 two Hosts in HTTP/1.0", Bytes: "GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n"},
	)
}

// otherMethods are tokens that are forwarded to nobody.
var otherMethods = []string{"get", "Get", "CONNECT", "TRACE", "TRACK", "FOO", "PRI", "PURGE", "GETX", strings.Repeat("A", 300)}

func hosts() []Probe { return each("H1 Host", "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", otherHosts...) }

// otherHosts are no host with an optional port.
var otherHosts = []string{
	"", " ", "u@a.test", "u:p@a.test", "a.test, b.test", "a.test b.test", "a.test/", "a.test/x", "a.test?x", "a.test#x", "a.test\\", "http://a.test", "//a.test", "a.test:80:80", "a.test:", "a.test:x", "a.test:-1",
	"a.test:65536", "a.test:0x50", "a.test: 80", "a..test", ".a.test", "a.test%00", "a%2etest", "a_te\x00st", "[::1", "::1", "[::1]x", "[::1]:x", "[v1.a]", "[::1%25eth0]", "[a.test]", "ä.test", "a.test\x7f", "*", "*.test", "(a.test)", "a.test;x", "'a.test'", "<a.test>", strings.Repeat("a", 300),
}

func targets() []Probe {
	out := each("H2 target", "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", otherTargets...)
	return append(out, Probe{Name: "H5 * with more", Bytes: "OPTIONS */x HTTP/1.1\r\nHost: a.test\r\n\r\n"})
}

// otherTargets are neither paths nor URLs of a.test.
var otherTargets = []string{
	"http://b.test/", "http://a.test.b.test/", "https://b.test/", "http:///", "http://", "http://a.test?x", "http://u@a.test/", "http://a.test:x/", "ftp://a.test/", "file:///etc/passwd", "javascript:x", "http:/a.test/", "http:a.test/", "a.test", "a.test/", "a.test:80", "*", "?x", "#x", "x", "\\", "//\\", "gopher://a.test/", "http://a.test#x/", "http://[::1/", "//b.test://", "//b.test/admin?u=http://a.test/",
}

func expectations() []Probe {
	var out []Probe
	for _, v := range []string{"Expect: y 100-continue", "Expect: 100-continue, x", "Expect: 100-continue\r\nExpect: 100-continue", "Expect: x", "Expect:", "Expect: 100-continue;q=1", "Expect: 100 continue", "Expect: 200-ok"} {
		out = append(out, Probe{fmt.Sprintf("E1 %q", v), post + v + "\r\nContent-Length: 4\r\n\r\nabcd", []int{417}})
	}
	for _, v := range []string{"Expect:\r\n 100-continue", "Expect : 100-continue", "Expect: 100-continue\x00"} {
		out = append(out, Probe{fmt.Sprintf("E2 %q", v), post + v + "\r\nContent-Length: 4\r\n\r\nabcd", []int{400, 417}})
	}
	return out
}

func prefaces() []Probe {
	return append(each("P1 before the request", "%sGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"\n", "\r", "\r\n\r\n", "\r\n\n", "\t", "\x00", "\xef\xbb\xbf", "\r\n ", "PROXY TCP4 6.6.6.6 1.1.1.1 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		Probe{"P2 a broken HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", []int{400, 505}},
		Probe{"P3 PRI in HTTP/1.1", "PRI * HTTP/1.1\r\nHost: a.test\r\n\r\n", []int{400, 405, 501}})
}
