// SPDX-License-Identifier: Apache-2.0

package mcp

import "encoding/json"

// Refusal is an answer that the edge gives itself. Refusals are shared: never change one.
//
// Every body is plain text. A client of a Go SDK takes a 404 for a lost session only if the body is no JSON-RPC error with
// its request's id.
type Refusal struct {
	Status      int
	ContentType string
	Body        []byte
	// RetryAfter is the value of a Retry-After header in seconds, 0 for none.
	RetryAfter int
	// Allow is the value of an Allow header, "" for none.
	Allow string
}

func plainText(status int, body string) *Refusal {
	return &Refusal{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(body + "\n")}
}

// The refusals. Each is what the specification, or the clients that were measured, want in the case that it names.
var (
	// NotFound answers a request of a session that is unknown, has ended, or whose worker is dead: 404, at which a client
	// must open a new session.
	NotFound = plainText(404, "session not found")
	// Unavailable answers where no worker can be reached now but the session, if there is one, may yet go on: 503, never
	// 400, 404 or 405, which clients take for an older server or a lost session. A Go client gives up its session at a 503
	// to a Stream: rather hold that request for a bounded time, or cut its connection.
	Unavailable = &Refusal{Status: 503, ContentType: "text/plain; charset=utf-8", Body: []byte("no worker can be reached; try again\n"), RetryAfter: 1}
	// BadHost answers a request for a host that HostAllowed refuses.
	BadHost = plainText(403, "this host is not served here")
	// BadOrigin answers a request that OriginAllowed refuses.
	BadOrigin = plainText(403, "this origin is not allowed here")

	badSession = plainText(400, "bad Mcp-Session-Id: want one header with 1 to 256 bytes of visible ASCII")
	noSession  = plainText(400, "DELETE wants an Mcp-Session-Id header")
	badMethod  = &Refusal{Status: 405, ContentType: "text/plain; charset=utf-8", Body: []byte("want POST, GET or DELETE\n"), Allow: "POST, GET, DELETE"}
	noStream   = &Refusal{Status: 405, ContentType: "text/plain; charset=utf-8", Body: []byte("an event stream wants an Mcp-Session-Id header; POST initialize first\n"), Allow: "POST"}
)

// ErrorBody returns a JSON-RPC error response with id null, for refusals to clients that read bodies. code must not be one
// of -32020 to -32099, which are the specification's to assign, unless it means what the specification says.
func ErrorBody(code int, message string) []byte {
	type rpcError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	b, err := json.Marshal(struct {
		Version string   `json:"jsonrpc"`
		ID      *int     `json:"id"`
		Error   rpcError `json:"error"`
	}{"2.0", nil, rpcError{code, message}})
	if err != nil {
		panic("mcp: " + err.Error()) // invariant: a number and a string always encode
	}
	return b
}
