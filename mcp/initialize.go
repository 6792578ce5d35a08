// SPDX-License-Identifier: Apache-2.0

package mcp

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// MaxInitializeBytes is up to which size IsInitialize looks at a body. Ours: the initialize requests of the SDKs have less
// than 1 KiB.
const MaxInitializeBytes = 64 << 10

// IsInitialize reports whether body, which must be whole, is one JSON-RPC request "initialize". It is strict, because what
// it says yes to goes to a worker in spite of a session id that nobody knows: a prefix, a batch, a body of more than
// MaxInitializeBytes, one with a repeated key or with a key that differs from jsonrpc, method, id or params only in case
// is none.
func IsInitialize(body []byte) bool {
	if len(body) > MaxInitializeBytes || !utf8.Valid(body) || !json.Valid(body) {
		return false
	}
	fields, ok := topLevel(body)
	return ok && isString(fields["jsonrpc"], "2.0") && isString(fields["method"], "initialize") &&
		validID(fields["id"]) && len(fields["params"]) > 0 && fields["params"][0] == '{'
}

// topLevel returns the fields of the JSON object that the valid JSON text body is, or false if it is none, or has a key
// twice by the looser readings that there are of JSON.
func topLevel(body []byte) (map[string]json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	fields, folded := map[string]json.RawMessage{}, map[string]bool{}
	for d.More() {
		key, err := d.Token()
		name, isKey := key.(string)
		if err != nil || !isKey || folded[strings.ToLower(name)] || !exact(name) {
			return nil, false
		}
		folded[strings.ToLower(name)] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		fields[name] = value
	}
	return fields, true
}

// exact reports whether a key is none of the envelope's in another case.
func exact(name string) bool {
	for _, k := range [...]string{"jsonrpc", "method", "id", "params"} {
		if name != k && strings.EqualFold(name, k) {
			return false
		}
	}
	return true
}

func isString(raw json.RawMessage, want string) bool {
	var s string
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil && s == want
}

// validID reports whether raw is a string or a number; a message without an id is a notification.
func validID(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}
