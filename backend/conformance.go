// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"meridian/topology"
)

// The conformance toolset. Names, arguments and texts are those that the official suite asks for
// (modelcontextprotocol/conformance, the scenarios' descriptions); they are of no other use.

const watchedURI = "test://watched-resource"

// watchedEvery is how often the watched resource changes. From the suite.
const watchedEvery = 3 * time.Second

func conformanceOptions(o *mcp.ServerOptions) {
	o.CompletionHandler = completeFixture
	o.SubscribeHandler = func(context.Context, *mcp.SubscribeRequest) error { return nil } // the SDK keeps the subscriptions
	o.UnsubscribeHandler = func(context.Context, *mcp.UnsubscribeRequest) error { return nil }
}

func addConformance(s *mcp.Server, pool topology.PoolID) {
	addContentFixtures(s)
	addCallFixtures(s)
	addChangeFixtures(s)
	addResourceFixtures(s)
	addPromptFixtures(s)
	rounds{newSeal(pool)}.add(s)
}

// changeWatched announces a change of the watched resource until ctx is done.
func changeWatched(ctx context.Context, s *mcp.Server) {
	t := time.NewTicker(watchedEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: watchedURI}) // a subscriber that has gone
		}
	}
}

// fixtureHandler is a tool without arguments.
type fixtureHandler func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error)

func addFixture(s *mcp.Server, name, description string, h fixtureHandler) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: description},
		func(ctx context.Context, req *mcp.CallToolRequest, _ map[string]any) (*mcp.CallToolResult, any, error) {
			res, err := h(ctx, req)
			return res, nil, err
		})
}

func content(c ...mcp.Content) *mcp.CallToolResult { return &mcp.CallToolResult{Content: c} }

func text(s string) *mcp.TextContent { return &mcp.TextContent{Text: s} }

// seal signs the state that a client carries from one round of a call to the next. The key comes from the pool's name, so
// that each worker of a pool takes the others' states: it guards nothing but the fixtures of a test, and is no secret.
type seal struct{ key [sha256.Size]byte }

func newSeal(pool topology.PoolID) seal {
	return seal{sha256.Sum256([]byte("meridian conformance fixtures of pool " + pool))}
}

func (k seal) sign(state string) string {
	m := hmac.New(sha256.New, k.key[:])
	m.Write([]byte(state))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// close returns the state with its signature.
func (k seal) close(state string) string { return state + "." + k.sign(state) }

// open returns the state of what close made, or false for anything else.
func (k seal) open(sealed string) (state string, ok bool) {
	i := strings.LastIndexByte(sealed, '.')
	if i < 0 || !hmac.Equal([]byte(sealed[i+1:]), []byte(k.sign(sealed[:i]))) {
		return "", false
	}
	return sealed[:i], true
}
