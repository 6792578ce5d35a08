// SPDX-License-Identifier: Apache-2.0

package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"meridian/mcp"
)

func TestRefusalsArePlainTextWithTheStatusThatClientsExpect(t *testing.T) {
	for _, c := range []struct {
		r          *mcp.Refusal
		status     int
		body       string
		retryAfter int
	}{
		{mcp.NotFound, 404, "session not found\n", 0},
		{mcp.Unavailable, 503, "no worker can be reached; try again\n", 1},
		{mcp.BadHost, 403, "this host is not served here\n", 0},
		{mcp.BadOrigin, 403, "this origin is not allowed here\n", 0},
	} {
		if c.r.Status != c.status || string(c.r.Body) != c.body || c.r.RetryAfter != c.retryAfter || !strings.HasPrefix(c.r.ContentType, "text/plain") {
			t.Errorf("%+v", c.r)
		}
	}
}

func TestAnErrorBodyHasNoRequestsID(t *testing.T) {
	got := mcp.ErrorBody(-32600, "a \"quoted\" word\n")
	var back struct {
		Version string `json:"jsonrpc"`
		ID      any    `json:"id"`
		Error   struct {
			Code    int
			Message string
		}
	}
	back.ID = "kept if the field is missing"
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if back.Version != "2.0" || back.ID != nil || back.Error.Code != -32600 || back.Error.Message != "a \"quoted\" word\n" {
		t.Errorf("%s", got)
	}
}
