// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 sampling and roots are deprecated since 2026-07-28 but are what these fixtures are for.

package backend

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// rounds are the fixtures of calls that take several rounds: the server answers what it still needs, and the client calls
// again with that (2026-07-28, basic/patterns/mrtr; SEP-2322). Rounds may reach different workers, so that nothing is kept
// between them but the sealed state that the client carries.
type rounds struct{ seal seal }

func (r rounds) add(s *mcp.Server) {
	const prefix = "test_input_required_result_"
	addFixture(s, prefix+"elicitation", "Asks for a name.", askName)
	addFixture(s, prefix+"sampling", "Asks the client's model.", askModel)
	addFixture(s, prefix+"list_roots", "Asks for the client's roots.", askRoots)
	addFixture(s, prefix+"request_state", "Asks to confirm, and wants its state back.", r.confirm("request_state"))
	addFixture(s, prefix+"tampered_state", "Asks to confirm, and refuses a state that is not its own.", r.confirm("tampered_state"))
	addFixture(s, prefix+"multiple_inputs", "Asks for a name, a greeting and roots at once.", r.askAll)
	addFixture(s, prefix+"multi_round", "Asks for a name, then for a color.", r.askTwice)
	addFixture(s, prefix+"capabilities", "Asks only for what the client can give.", askWhatCan)
	s.AddPrompt(&mcp.Prompt{Name: prefix + "prompt", Description: "Asks for a context."}, promptWithContext)
}

// accepted returns a string that the user gave in answer to an elicitation; "" if there is none.
func accepted(responses mcp.InputResponseMap, key, field string) string {
	if e, ok := responses[key].(*mcp.ElicitResult); ok && e != nil && e.Action == "accept" {
		s, _ := e.Content[field].(string)
		return s
	}
	return ""
}

// sampled returns the text that the client's model gave; "" if there is none.
func sampled(responses mcp.InputResponseMap, key string) string {
	if m, ok := responses[key].(*mcp.CreateMessageWithToolsResult); ok && m != nil {
		for _, c := range m.Content {
			if t, ok := c.(*mcp.TextContent); ok {
				return t.Text
			}
		}
	}
	return ""
}

func rootsOf(responses mcp.InputResponseMap, key string) (*mcp.ListRootsResult, bool) {
	r, ok := responses[key].(*mcp.ListRootsResult)
	return r, ok && r != nil
}

// ask is an elicitation of one string.
func ask(message, field string) *mcp.ElicitParams {
	return &mcp.ElicitParams{Message: message, RequestedSchema: object(map[string]any{field: map[string]any{"type": "string"}}, field)}
}

func need(requests mcp.InputRequestMap, state string) *mcp.CallToolResult {
	return &mcp.CallToolResult{InputRequests: requests, RequestState: state}
}

func askName(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if name := accepted(req.Params.InputResponses, "user_name", "name"); name != "" {
		return content(text("Hello, " + name + "!")), nil
	}
	return need(mcp.InputRequestMap{"user_name": ask("What is your name?", "name")}, ""), nil
}

func askModel(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if answer := sampled(req.Params.InputResponses, "capital_question"); answer != "" {
		return content(text(answer)), nil
	}
	return need(mcp.InputRequestMap{"capital_question": sampling("What is the capital of France?", 100)}, ""), nil
}

func askRoots(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	roots, ok := rootsOf(req.Params.InputResponses, "client_roots")
	if !ok {
		return need(mcp.InputRequestMap{"client_roots": &mcp.ListRootsParams{}}, ""), nil
	}
	var uris []string
	for _, r := range roots.Roots {
		uris = append(uris, r.URI)
	}
	return content(text("Roots: " + strings.Join(uris, ", "))), nil
}

// errState refuses a state that this toolset has not sealed.
var errState = &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "requestState: it is not one that this server gave"}

func (r rounds) confirm(name string) fixtureHandler {
	return func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if req.Params.RequestState != "" {
			if state, ok := r.seal.open(req.Params.RequestState); !ok || state != name {
				return nil, errState
			}
			if e, ok := req.Params.InputResponses["confirm"].(*mcp.ElicitResult); ok && e != nil && e.Action == "accept" {
				return content(text("state-ok")), nil
			}
		}
		confirm := &mcp.ElicitParams{Message: "Please confirm",
			RequestedSchema: object(map[string]any{"ok": map[string]any{"type": "boolean"}}, "ok")}
		return need(mcp.InputRequestMap{"confirm": confirm}, r.seal.close(name)), nil
	}
}

func (r rounds) askAll(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	const name = "multiple_inputs"
	in := req.Params.InputResponses
	user, greeting := accepted(in, "user_name", "name"), sampled(in, "greeting")
	roots, ok := rootsOf(in, "client_roots")
	if user == "" || greeting == "" || !ok {
		return need(mcp.InputRequestMap{
			"user_name":    ask("What is your name?", "name"),
			"greeting":     sampling("Generate a greeting", 50),
			"client_roots": &mcp.ListRootsParams{},
		}, r.seal.close(name)), nil
	}
	if state, ok := r.seal.open(req.Params.RequestState); !ok || state != name {
		return nil, errState
	}
	return content(text(fmt.Sprintf("%s %s, with %d roots", greeting, user, len(roots.Roots)))), nil
}

// askTwice carries the name of round one in the state of round two.
func (r rounds) askTwice(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	const first, second = "multi_round=1", "multi_round=2;"
	if req.Params.RequestState == "" {
		return need(mcp.InputRequestMap{"step1": ask("Step 1: What is your name?", "name")}, r.seal.close(first)), nil
	}
	state, ok := r.seal.open(req.Params.RequestState)
	name, isSecond := strings.CutPrefix(state, second)
	switch {
	case !ok || (state != first && !isSecond):
		return nil, errState
	case !isSecond:
		name = accepted(req.Params.InputResponses, "step1", "name")
		if name == "" {
			return need(mcp.InputRequestMap{"step1": ask("Step 1: What is your name?", "name")}, r.seal.close(first)), nil
		}
	}
	if color := accepted(req.Params.InputResponses, "step2", "color"); isSecond && color != "" {
		return content(text(name + " likes " + color)), nil
	}
	return need(mcp.InputRequestMap{"step2": ask("Step 2: What is your favorite color?", "color")}, r.seal.close(second+name)), nil
}

func askWhatCan(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if len(req.Params.InputResponses) > 0 {
		return content(text("Thank you.")), nil
	}
	requests := mcp.InputRequestMap{}
	if caps := req.ClientCapabilities(); caps != nil {
		if caps.Elicitation != nil {
			requests["user_name"] = ask("What is your name?", "name")
		}
		if caps.Sampling != nil {
			requests["greeting"] = sampling("Generate a greeting", 50)
		}
		if caps.RootsV2 != nil {
			requests["client_roots"] = &mcp.ListRootsParams{}
		}
	}
	if len(requests) == 0 {
		return content(text("The client can give nothing.")), nil
	}
	return need(requests, ""), nil
}

func promptWithContext(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	if c := accepted(req.Params.InputResponses, "user_context", "context"); c != "" {
		return userMessages(text("Use this context: " + c)), nil
	}
	return &mcp.GetPromptResult{InputRequests: mcp.InputRequestMap{"user_context": ask("What context should the prompt use?", "context")}}, nil
}
