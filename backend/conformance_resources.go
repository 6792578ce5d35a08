// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func addResourceFixtures(s *mcp.Server) {
	fixed := func(r *mcp.Resource, c mcp.ResourceContents) {
		c.URI, c.MIMEType = r.URI, r.MIMEType
		s.AddResource(r, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{&c}}, nil
		})
	}
	fixed(&mcp.Resource{URI: "test://static-text", Name: "static-text", Description: "A text.", MIMEType: "text/plain"},
		mcp.ResourceContents{Text: "This is the content of the static text resource."})
	fixed(&mcp.Resource{URI: "test://static-binary", Name: "static-binary", Description: "An image.", MIMEType: "image/png"},
		mcp.ResourceContents{Blob: redDot()})
	fixed(&mcp.Resource{URI: watchedURI, Name: "watched-resource", Description: "A text whose change is announced every three seconds.",
		MIMEType: "text/plain"}, mcp.ResourceContents{Text: "Watched resource content"})
	s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "test://template/{id}/data", Name: "template",
		Description: "Data with the id of its URI.", MIMEType: "application/json"}, readTemplate)
}

func readTemplate(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	uri := req.Params.URI
	id, ok := strings.CutPrefix(uri, "test://template/")
	id, data := strings.CutSuffix(id, "/data")
	if !ok || !data || id == "" {
		return nil, mcp.ResourceNotFoundError(uri)
	}
	body, err := json.Marshal(struct {
		ID   string `json:"id"`
		Test bool   `json:"templateTest"`
		Data string `json:"data"`
	}{id, true, "Data for ID: " + id})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", uri, err)
	}
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: "application/json", Text: string(body)}}}, nil
}
