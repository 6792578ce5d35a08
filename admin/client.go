// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"meridian/topology"
)

// Client asks an edge's admin address. The zero value of Timeout is 5s.
type Client struct {
	URL     string // http://HOST:PORT
	Timeout time.Duration
}

// maxAnswerBytes bounds what is read of an answer: 10,000 nodes are about 5 MiB.
const maxAnswerBytes = 256 << 20

// Status returns the edge's view of the fleet.
func (c Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.get(ctx, "/api/v1/status", nil, &s)
}

// RawItem is an Item whose value is still JSON: a newer edge may know more fields than this program.
type RawItem struct {
	Kind  topology.Kind   `json:"kind"`
	Name  string          `json:"name"`
	Live  bool            `json:"live,omitempty"`
	Value json.RawMessage `json:"value"`
}

// List returns the resources of a kind.
func (c Client) List(ctx context.Context, k topology.Kind) ([]RawItem, error) {
	var items []RawItem
	return items, c.get(ctx, "/api/v1/resources/"+string(k), nil, &items)
}

// Get returns one resource.
func (c Client) Get(ctx context.Context, k topology.Key) (RawItem, error) {
	var item RawItem
	return item, c.get(ctx, "/api/v1/resources/"+k.String(), nil, &item)
}

// ExplainDNS returns why a client at the address from gets the answer that it gets.
func (c Client) ExplainDNS(ctx context.Context, name, from string) (DNSExplanation, error) {
	var x DNSExplanation
	return x, c.get(ctx, "/api/v1/explain/dns", url.Values{"name": {name}, "from": {from}}, &x)
}

// ExplainHTTP returns where a request goes and why.
func (c Client) ExplainHTTP(ctx context.Context, method, u string) (HTTPExplanation, error) {
	var x HTTPExplanation
	return x, c.get(ctx, "/api/v1/explain/http", url.Values{"method": {method}, "url": {u}}, &x)
}

// Ready returns nil if the edge is ready, else the reason why not.
func (c Client) Ready(ctx context.Context) error {
	return c.get(ctx, "/readyz", nil, &struct{}{})
}

func (c Client) get(ctx context.Context, path string, query url.Values, into any) error {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target := strings.TrimSuffix(c.URL, "/") + (&url.URL{Path: path}).EscapedPath()
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("--admin %q is not a URL; want http://HOST:PORT", c.URL)
	}
	// One request a connection: the programs that use Client ask once, and leave nothing behind.
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("ended before the edge at %s has answered: %w", c.URL, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("no edge answers at %s (%w); is it running? give its admin address with --admin", c.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", target, err)
	}
	if len(body) > maxAnswerBytes {
		return fmt.Errorf("%s answered with more than %d MiB", c.URL, maxAnswerBytes>>20)
	}
	return decode(resp, body, into)
}

func decode(resp *http.Response, body []byte, into any) error {
	if resp.StatusCode != http.StatusOK {
		var p struct {
			Problem
			Reason string `json:"reason"`
		}
		if json.Unmarshal(body, &p) == nil && p.Message+p.Reason != "" {
			return errors.New(p.Message + p.Reason)
		}
		return fmt.Errorf("%s answered %s", resp.Request.URL.Host, resp.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answered with something that is not Meridian's JSON; is --admin right? (%w)", resp.Request.URL.Host, err)
	}
	return nil
}
