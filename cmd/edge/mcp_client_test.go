// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// mcpSession connects with the official Go SDK's client, as its users do: by the newest protocol, which has no sessions,
// where version is empty, else with a session.
func mcpSession(ctx context.Context, url, version string) (*sdk.ClientSession, error) {
	client := sdk.NewClient(&sdk.Implementation{Name: "meridian-test", Version: "1"}, nil)
	return client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: &http.Transport{}}},
		&sdk.ClientSessionOptions{ProtocolVersion: version})
}

// echoed is what the echo tool answers.
type echoed struct {
	Text   string `json:"text"`
	Worker string `json:"worker"`
	Region string `json:"region"`
}

// echo calls the echo tool and checks its answer.
func echo(ctx context.Context, s *sdk.ClientSession, text string) (echoed, error) {
	return echoAfter(ctx, s, text, 0)
}

func echoAfter(ctx context.Context, s *sdk.ClientSession, text string, delay time.Duration) (echoed, error) {
	args := map[string]any{"text": text}
	if delay > 0 {
		args["delay_ms"] = delay.Milliseconds()
	}
	res, err := s.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: args})
	if err != nil {
		return echoed{}, err
	}
	if res.IsError {
		return echoed{}, fmt.Errorf("the tool failed: %v", res.Content)
	}
	b, err := json.Marshal(res.StructuredContent)
	if err != nil {
		return echoed{}, err
	}
	var e echoed
	if err := json.Unmarshal(b, &e); err != nil {
		return e, err
	}
	if e.Text != text {
		return e, fmt.Errorf("echo of %q gave %q", text, e.Text)
	}
	return e, nil
}
