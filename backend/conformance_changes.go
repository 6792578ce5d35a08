// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// addChangeFixtures adds the tools that change what the server lists, so that listeners hear of it (SEP-2575). They add the
// same thing each time, which the SDK announces as a change all the same, so that the lists don't grow.
func addChangeFixtures(s *mcp.Server) {
	addFixture(s, "test_trigger_tool_change", "Changes the list of tools.", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		addFixture(s, "test_dynamic_tool", "A tool that is there after test_trigger_tool_change.",
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return content(text("This is a dynamic tool.")), nil
			})
		return content(text("The list of tools has changed.")), nil
	})
	addFixture(s, "test_trigger_prompt_change", "Changes the list of prompts.", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		addPromptFixture(s, "test_dynamic_prompt", "A prompt that is there after test_trigger_prompt_change.", nil, text("This is a dynamic prompt."))
		return content(text("The list of prompts has changed.")), nil
	})
}
