// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 sampling and logging are deprecated since 2026-07-28 but are what these fixtures are for.

package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// step is the pause between two messages of one call. From the suite.
const step = 50 * time.Millisecond

// resumeAfter is when the client may come back after test_reconnection has closed its stream, and resumeWork how long the
// call goes on after that. Ours; the suite wants the one before the other.
const (
	resumeAfter = 50 * time.Millisecond
	resumeWork  = 300 * time.Millisecond
)

func addCallFixtures(s *mcp.Server) {
	addFixture(s, "test_tool_with_logging", "Logs three messages while it works.", logThrice)
	addFixture(s, "test_tool_with_progress", "Reports progress three times while it works.", progressThrice)
	addFixture(s, "test_reconnection", "Closes its stream before the answer, so that the client must resume it (SEP-1699).", closeStream)
	addFixture(s, "test_missing_capability", "Works only for a client that can sample (SEP-2575).", needSampling)
	addFixture(s, "test_streaming_elicitation", "Answers on a stream that holds no request of the server's (SEP-2575).", progressThrice)
	addFixture(s, "test_logging_tool", "Logs one message, which is sent only if the request asked for it (SEP-2575).", logOnce)
	mcp.AddTool(s, &mcp.Tool{Name: "test_sampling", Description: "Asks the client's model."}, sample)
	mcp.AddTool(s, &mcp.Tool{Name: "test_elicitation", Description: "Asks the user."}, elicitUser)
	addFixture(s, "test_elicitation_sep1034_defaults", "Asks the user, with a default for each kind of value.", elicitFixed(defaultsSchema))
	addFixture(s, "test_elicitation_sep1330_enums", "Asks the user to choose, in each way there is.", elicitFixed(enumsSchema))
}

func logThrice(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for i, message := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
		if i > 0 {
			wait(ctx, step)
		}
		if err := req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: message}); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
	}
	return content(text("Tool with logging executed successfully")), nil
}

func logOnce(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if err := req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: "test_logging_tool was called"}); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return content(text("Logged, if the request asked for it.")), nil
}

func progressThrice(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	token := req.Params.GetProgressToken()
	for i, done := range []float64{0, 50, 100} {
		if i > 0 {
			wait(ctx, step)
		}
		if token == nil {
			continue
		}
		p := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: done, Total: 100, Message: fmt.Sprintf("step %d of 3", i+1)}
		if err := req.Session.NotifyProgress(ctx, p); err != nil {
			return nil, fmt.Errorf("report progress: %w", err)
		}
	}
	return content(text(fmt.Sprint(token))), nil
}

func closeStream(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if req.Extra != nil && req.Extra.CloseSSEStream != nil {
		req.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: resumeAfter})
	}
	wait(ctx, resumeWork)
	return content(text("The answer of a call whose stream was closed and resumed.")), nil
}

func needSampling(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if caps := req.ClientCapabilities(); caps != nil && caps.Sampling != nil {
		return content(text("The client can sample.")), nil
	}
	data, err := json.Marshal(mcp.MissingRequiredClientCapabilityData{
		RequiredCapabilities: &mcp.ClientCapabilities{Sampling: &mcp.SamplingCapabilities{}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the missing capability: %w", err)
	}
	return nil, &jsonrpc.Error{Code: mcp.CodeMissingRequiredClientCapabilities, Message: "the client did not declare sampling", Data: data}
}

type promptArgs struct {
	Prompt string `json:"prompt" jsonschema:"what to ask the model"`
}

func sample(ctx context.Context, req *mcp.CallToolRequest, a promptArgs) (*mcp.CallToolResult, any, error) {
	res, err := req.Session.CreateMessage(ctx, sampling(a.Prompt, 100))
	if err != nil {
		return nil, nil, fmt.Errorf("sample: %w", err)
	}
	t, ok := res.Content.(*mcp.TextContent)
	if !ok {
		return nil, nil, fmt.Errorf("sample: the answer is %T; want text", res.Content)
	}
	return content(text("LLM response: " + t.Text)), nil, nil
}

func sampling(prompt string, maxTokens int64) *mcp.CreateMessageParams {
	return &mcp.CreateMessageParams{Messages: []*mcp.SamplingMessage{{Role: "user", Content: text(prompt)}}, MaxTokens: maxTokens}
}

type messageArgs struct {
	Message string `json:"message" jsonschema:"what to ask the user"`
}

func elicitUser(ctx context.Context, req *mcp.CallToolRequest, a messageArgs) (*mcp.CallToolResult, any, error) {
	res, err := elicit(ctx, req, a.Message, object(map[string]any{
		"username": map[string]any{"type": "string", "description": "User's response"},
		"email":    map[string]any{"type": "string", "description": "User's email address"},
	}, "username", "email"), "User response")
	return res, nil, err
}

func elicitFixed(schema func() map[string]any) fixtureHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return elicit(ctx, req, "Please review and update the form fields", schema(), "Elicitation completed")
	}
}

func elicit(ctx context.Context, req *mcp.CallToolRequest, message string, schema map[string]any, prefix string) (*mcp.CallToolResult, error) {
	res, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: message, RequestedSchema: schema})
	if err != nil {
		return nil, fmt.Errorf("elicit: %w", err)
	}
	answer, err := json.Marshal(res.Content)
	if err != nil {
		return nil, fmt.Errorf("elicit: encode the answer: %w", err)
	}
	return content(text(fmt.Sprintf("%s: action=%s, content=%s", prefix, res.Action, answer))), nil
}

// object is a JSON Schema of an object.
func object(properties map[string]any, required ...string) map[string]any {
	o := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// defaultsSchema has each kind of primitive value with a default (SEP-1034).
func defaultsSchema() map[string]any {
	return object(map[string]any{
		"name":     map[string]any{"type": "string", "description": "Name", "default": "John Doe"},
		"age":      map[string]any{"type": "integer", "description": "Age", "default": 30},
		"score":    map[string]any{"type": "number", "description": "Score", "default": 95.5},
		"status":   map[string]any{"type": "string", "description": "Status", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
		"verified": map[string]any{"type": "boolean", "description": "Verified", "default": true},
	})
}

// enumsSchema has the five ways to offer a choice (SEP-1330).
func enumsSchema() map[string]any {
	options := []string{"option1", "option2", "option3"}
	titled := []map[string]any{
		{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}, {"const": "value3", "title": "Third Option"},
	}
	return object(map[string]any{
		"untitledSingle": map[string]any{"type": "string", "enum": options},
		"titledSingle":   map[string]any{"type": "string", "oneOf": titled},
		"legacyEnum": map[string]any{"type": "string", "enum": []string{"opt1", "opt2", "opt3"},
			"enumNames": []string{"Option One", "Option Two", "Option Three"}},
		"untitledMulti": map[string]any{"type": "array", "minItems": 1, "maxItems": 3, "items": map[string]any{"type": "string", "enum": options}},
		"titledMulti":   map[string]any{"type": "array", "minItems": 1, "maxItems": 3, "items": map[string]any{"anyOf": titled}},
	})
}
