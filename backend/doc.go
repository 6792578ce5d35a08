// SPDX-License-Identifier: Apache-2.0

// Package backend is the MCP worker: it serves one toolset to MCP clients of both eras on one URL, bounds what it takes
// on, counts what it holds, and ends without losing what is in flight.
//
// A request whose MCP-Protocol-Version is 2026-07-28 or later is served without a session (modern); any other belongs to
// the era of sessions (legacy). The official go-sdk can't do both in one handler, so two of them stand behind a switch on
// that header and share one server.
//
// It leaves to others: routing, sticking to a session's worker and the check of Host and Origin for names (the edge),
// the registration in etcd (Config.Leave and Load are its seam), and what is true about places and topologies
// (Config.Locate and Config.Snapshot).
//
// Worker.Run owns every goroutine and returns when all have ended.
//
//	w, err := backend.New(backend.Config{Name: "mcp-1", Pool: "mcp", Region: "eu-central-1"})
//	if err == nil {
//		err = w.Listen() // w.Addr() is known from here on
//	}
//	err = w.Run(ctx) // ends gracefully when ctx does
package backend
