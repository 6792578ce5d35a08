// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func userMessages(c ...mcp.Content) *mcp.GetPromptResult {
	res := &mcp.GetPromptResult{}
	for _, c := range c {
		res.Messages = append(res.Messages, &mcp.PromptMessage{Role: "user", Content: c})
	}
	return res
}

func addPromptFixture(s *mcp.Server, name, description string, args []*mcp.PromptArgument, c ...mcp.Content) {
	s.AddPrompt(&mcp.Prompt{Name: name, Description: description, Arguments: args},
		func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return userMessages(c...), nil
		})
}

func addPromptFixtures(s *mcp.Server) {
	addPromptFixture(s, "test_simple_prompt", "A prompt without arguments.", nil, text("This is a simple prompt for testing."))
	addPromptFixture(s, "test_prompt_with_image", "A prompt with an image.", nil, pixel(), text("Please analyze the image above."))
	s.AddPrompt(&mcp.Prompt{Name: "test_prompt_with_arguments", Description: "A prompt with arguments.", Arguments: []*mcp.PromptArgument{
		{Name: "arg1", Description: "the first", Required: true},
		{Name: "arg2", Description: "the second", Required: true},
	}}, func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		a := req.Params.Arguments
		return userMessages(text(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", a["arg1"], a["arg2"]))), nil
	})
	s.AddPrompt(&mcp.Prompt{Name: "test_prompt_with_embedded_resource", Description: "A prompt with a resource.", Arguments: []*mcp.PromptArgument{
		{Name: "resourceUri", Description: "the resource's URI", Required: true},
	}}, func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		r := embedded(req.Params.Arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
		return userMessages(r, text("Please process the embedded resource above.")), nil
	})
}

// completions are what completeFixture offers for any argument.
var completions = []string{"paris", "park", "party"}

func completeFixture(_ context.Context, req *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
	values := []string{}
	for _, v := range completions {
		if strings.HasPrefix(v, req.Params.Argument.Value) {
			values = append(values, v)
		}
	}
	return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: values, Total: len(values)}}, nil
}
