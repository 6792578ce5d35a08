// SPDX-License-Identifier: Apache-2.0

package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"meridian/mcp"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`

func TestOnlyAnInitializeRequestIsOne(t *testing.T) {
	for body, want := range map[string]bool{
		initialize:                  true,
		" \r\n" + initialize + "\n": true,
		`{"method":"initialize","params":{},"id":"a","jsonrpc":"2.0","_x":[1,{"method":"y"}]}`:  true,
		`{"jsonrpc":"2.0","id":-1,"method":"\u0069nitialize","params":{}}`:                      true,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"method":"initialize"}}`:       false,
		`{"jsonrpc":"2.0","id":1,"method":"Initialize","params":{}}`:                            false,
		`{"jsonrpc":"2.0","method":"initialize","params":{}}`:                                   false, // a notification
		`{"jsonrpc":"2.0","id":null,"method":"initialize","params":{}}`:                         false,
		`{"jsonrpc":"2.0","id":1,"method":"initialize"}`:                                        false,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":[]}`:                            false,
		`{"jsonrpc":"1.0","id":1,"method":"initialize","params":{}}`:                            false,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"initialize","params":{}}`:      false,
		`{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"initialize","params":{}}`:      false,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{},"PARAMS":{"a":1}}`:           false,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{},"\u006dethod":"tools/call"}`: false,
		`{"jsonrpc":"2.0","id":1,"method":["initialize"],"params":{}}`:                          false,
		`[` + initialize + `]`:  false,
		initialize + initialize: false,
		`"initialize"`:          false,
		`null`:                  false,
		"":                      false,
		strings.Replace(initialize, "x", "\xff", 1):              false,
		initialize + strings.Repeat(" ", mcp.MaxInitializeBytes): false,
		strings.Repeat("[", 20_000):                              false,
	} {
		if got := mcp.IsInitialize([]byte(body)); got != want {
			t.Errorf("%.100q: %v", body, got)
		}
	}
}

func TestNoProperPrefixIsAnInitialize(t *testing.T) {
	for i := range len(initialize) {
		if mcp.IsInitialize([]byte(initialize[:i])) {
			t.Errorf("%q", initialize[:i])
		}
	}
}

func FuzzIsInitialize(f *testing.F) {
	f.Add([]byte(initialize))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{},"\u0000":1}`))
	f.Add([]byte(`{"METHOD":"x","method":"initialize"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !mcp.IsInitialize(body) {
			return
		}
		// A loose reader (case-blind, last key wins) must see the same request.
		var m struct {
			Version string         `json:"jsonrpc"`
			ID      any            `json:"id"`
			Method  string         `json:"method"`
			Params  map[string]any `json:"params"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if m.Version != "2.0" || m.ID == nil || m.Method != "initialize" || m.Params == nil {
			t.Errorf("%q is read as %+v", body, m)
		}
	})
}
