// SPDX-License-Identifier: Apache-2.0

package mcp

import "meridian/topology"

// Do is what to do with a request.
type Do uint8

// What to do.
const (
	// Balance: any node of the pool may have it.
	Balance Do = iota
	// Stick: only Action.Node may have it; see balancer's Bind. If that node is gone, down or cut, answer NotFound and drop
	// the session; if it can't be reached but isn't yet declared dead, or is full, answer Unavailable and keep the session.
	Stick
	// Refuse: answer Action.Refusal.
	Refuse
	// RefuseUnlessInitialize: answer Action.Refusal, unless the body is an initialize request (IsInitialize): a client that
	// opens a new session may still send the id of its old one. Then take that header away and Balance; tell Response of
	// the request's Class with an empty SessionID.
	RefuseUnlessInitialize
)

// Action is what to do with one request.
type Action struct {
	Do      Do
	Node    topology.NodeID // for Stick
	Refusal *Refusal        // for Refuse and RefuseUnlessInitialize
}

// Route decides what to do with the request. bound and known are what Sessions.Lookup says of c.SessionID; with an empty
// SessionID they are not looked at.
func (c Class) Route(bound topology.NodeID, known bool) Action {
	switch {
	case c.Err != nil:
		return Action{Do: Refuse, Refusal: c.Err}
	case c.SessionID == "": // plain, modern, an initialize, or a worker that keeps no sessions
		return Action{Do: Balance}
	case known:
		return Action{Do: Stick, Node: bound}
	case c.Kind == Post:
		return Action{Do: RefuseUnlessInitialize, Refusal: NotFound}
	}
	return Action{Do: Refuse, Refusal: NotFound}
}

// Effect is what a response means for the sessions: the ids to bind to its node and to drop, each "" for none.
type Effect struct{ Bind, Drop string }

// Response decides what the response of a worker means. status is its status, sessionID its Mcp-Session-Id header, "" if
// it has none; one that is not a valid id is passed over. Statuses that the edge itself answers are not for it.
//
// A session is bound by a 2xx to a Legacy Post that carries an id, and dropped by a 404 to any request that carried its
// id, and by a 2xx to its Delete. A 404 to a Modern request means an unknown method and drops nothing.
func (c Class) Response(status int, sessionID string) Effect {
	if c.Era == Modern || c.Kind == Plain || c.Kind == BadMethod {
		return Effect{}
	}
	ok := status >= 200 && status <= 299
	var e Effect
	switch {
	case c.SessionID != "" && (status == 404 || ok && c.Kind == Delete):
		e.Drop = c.SessionID
	case ok && c.Kind == Post && sessionID != c.SessionID && ValidSessionID(sessionID):
		e.Bind = sessionID
	}
	return e
}
