// SPDX-License-Identifier: Apache-2.0

package probes

import "strings"

// Paths are paths that name another resource to some reader than to another: refused in every version of HTTP, whatever a
// route says.
var Paths = []string{
	"/admin/../admin", "/a/../admin", "/a/%2e%2e/admin", "/a/%2E%2E%2Fadmin", "/a/..%2fadmin", "/a/..;/admin", "/./admin", "/admin/.", "/admin/..", "/%2e/admin", "/.%2e/admin", "/a/..;x=y/admin",
	"/admin%00.css", "/admin%0a", "/admin%0d%0aSet-Cookie:x=1", "/admin%09", "/admin%7f", "/admin..\\", "/admin\\..\\", "/admin%5c..%5c", "/%c0%ae%c0%ae/admin", "/%c1%9c", "/admin%", "/admin%2", "/admin%zz", "/admin%u002f",
	"/admin#", "/admin?x#/../", "/admin\x7f", "/ädmin", "/admin<", "/admin>", "/admin\"", "/admin{", "/admin|", "/admin^", "/admin`", "/admin[", "/static/..%2faccount",
}

// EncodedSlashes are refused unless the route has allow_encoded_slash.
var EncodedSlashes = []string{"/a%2fadmin", "/a%2Fadmin", "/account%2fx.css", "/%2fadmin", "/admin%2f"}

// LiteralPaths are paths that must reach the node byte for byte, since nothing in them may be decoded, joined or repaired.
var LiteralPaths = []string{
	"//admin", "/%61dmin", "/%2561dmin", "/admin;x=.css", "/admin%3b.css", "/admin%ef%bc%8f", "/ADMIN", "/a//b///c", "/%252e%252e/admin", "/...", "/..a", "/a..", "/account%23.css", "/account%3f.css", "/a?b=/../c", "/a?%00%0d%0a",
	"/a?", "/?a?b", "/?" + strings.Repeat("a&", 4000), "/a/", "/~a/-._~!$&'()*+,;=:@",
}

func paths() []Probe { return each("H6 path", "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", Paths...) }

// Field is a header field.
type Field struct{ Name, Value string }

// Spoofed are fields by which a client passes itself off as another, or its request as another: none may reach the node from a
// peer that nobody trusts, in no version of HTTP. The managed names are X-Auth-User and X-Authenticated-User.
var Spoofed = []Field{
	{"X-Forwarded-For", "6.6.6.6"}, {"x-forwarded-proto", "evil"}, {"X-Forwarded-Host", "evil"}, {"X-Forwarded-Prefix", "/evil"}, {"X-Forwarded-Port", "evil"}, {"X-Forwarded-Uri", "evil"}, {"X-Forwarded-Server", "evil"},
	{"Forwarded", "for=6.6.6.6;host=evil"}, {"X-Real-IP", "6.6.6.6"}, {"X-Original-URL", "/evil"}, {"X-Rewrite-URL", "/evil"}, {"X-HTTP-Method-Override", "evil"}, {"CF-Connecting-IP", "6.6.6.6"}, {"True-Client-IP", "6.6.6.6"},
	{"X_Forwarded_For", "6.6.6.6"}, {"X.Forwarded.For", "6.6.6.6"}, {"X-Forwarded_Proto", "evil"}, {"X_Auth_User", "evil"}, {"X.Authenticated.User", "evil"}, {"X-Auth-User", "evil"}, {"X_Real.IP", "6.6.6.6"},
	{"Keep-Alive", "evil"}, {"Proxy-Connection", "evil"}, {"Proxy-Authorization", "evil"}, {"TE", "evil"}, {"Trailer", "evil"}, {"Proxy-Authenticate", "evil"}, {"Content_Length", "66"}, {"Transfer.Encoding", "evil"},
}
