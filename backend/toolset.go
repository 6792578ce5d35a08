// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Toolset names what a worker serves.
type Toolset string

// The toolsets.
const (
	// ToolsetDefault reads the live topology: fleet_status, locate_ip, explain_route, echo.
	ToolsetDefault Toolset = "default"
	// ToolsetConformance holds the fixtures that the official conformance suite asks for.
	ToolsetConformance Toolset = "conformance"
)

// Toolsets lists every toolset.
var Toolsets = []Toolset{ToolsetDefault, ToolsetConformance}

func (t Toolset) valid() bool { return slices.Contains(Toolsets, t) }

func toolsetNames() string {
	var names []string
	for _, t := range Toolsets {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// newServer makes the MCP server that both eras share.
func (w *Worker) newServer() *mcp.Server {
	opts := &mcp.ServerOptions{Logger: slog.New(demoted{w.cfg.Logger.Handler()}), GetSessionID: w.sessions.mint}
	if w.cfg.Toolset == ToolsetConformance {
		conformanceOptions(opts)
	} else {
		opts.Capabilities = &mcp.ServerCapabilities{} // without the SDK's default of logging, which no tool here does
		opts.Instructions = "Tools to look into a Meridian fleet. All of them only read."
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "meridian-backend", Version: w.cfg.Version}, opts)
	if w.cfg.Toolset == ToolsetConformance {
		addConformance(s, w.cfg.Pool)
	} else {
		w.addFleetTools(s)
	}
	s.AddReceivingMiddleware(w.calls.middleware)
	return s
}
