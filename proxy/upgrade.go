// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"time"

	"meridian/health"
	"meridian/proxy/exchange"
	"meridian/proxy/http1"
	"meridian/proxy/tunnel"
	"meridian/proxy/upstream"
)

// Time that the client of a WebSocket has to close after it was told 1001. Ours: a round trip and the client's own work;
// shorter where a drain's deadline has passed.
const (
	shutdownGoodbye = 5 * time.Second
	cutGoodbye      = time.Second
)

// askedUpgrade returns the protocol that the request asks to switch to, if its connection and its pool can.
func (r *relay) askedUpgrade() string {
	w, ok := r.x.Reply.(exchange.Switcher)
	if !ok || r.isMCP {
		return ""
	}
	asked := tunnel.Asked(r.x.Header)
	if asked == "" || !w.CanSwitch() {
		return ""
	}
	return asked
}

// appendUpgrade appends the fields that ask for, or agree to, another protocol.
func appendUpgrade(h exchange.Header, token string) exchange.Header {
	return append(h, exchange.Field{Name: "Connection", Value: "Upgrade"}, exchange.Field{Name: "Upgrade", Value: token})
}

// switchProtocols relays the tunnel that the node's 101 opens, to its end.
func (r *relay) switchProtocols(c *upstream.Conn, resp *http1.Response) (result, failure) {
	r.x.Reply.Unwatch()
	r.record.firstByte = time.Since(r.x.Received)
	if !r.beginSwitch() {
		r.drop()
		r.ended()
		return finished, failure{}
	}
	if wrong := tunnel.Agreed(r.upgrade, r.x.Header, resp.Header); wrong != "" {
		r.drop()
		f := failure{status: 502, reason: "the node's answer is malformed: " + wrong}
		r.unanswered(health.GatewayError, f.reason)
		r.fail(f)
		return finished, failure{}
	}
	r.answered(resp.Status, resp.Header)
	r.s.cfg.Observe(r.node.Name, health.Success, "")
	r.record.status, r.record.upgrade = resp.Status, r.upgrade
	r.fields = appendUpgrade(r.appendExplained(appendKept(r.fields[:0], resp.Header)), r.upgrade)
	client, fromClient, err := r.x.Reply.(exchange.Switcher).Switch(r.fields)
	if err != nil {
		r.record.err = err.Error()
		r.drop()
		r.abort()
		return finished, failure{}
	}
	node, fromNode := c.Hijack()
	r.runTunnel(tunnel.New(client, node, tunnel.Config{
		Idle: r.timeouts.Idle.Std(), WebSocket: tunnel.IsWebSocket(r.upgrade),
	}), fromClient, fromNode)
	r.drop()
	return finished, failure{}
}

// beginSwitch has a cut wait until there is a tunnel to end: who has read a 101 is to read 1001 and no torn connection. It reports false
// if the request has ended before.
func (r *relay) beginSwitch() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.switches = !r.gone && !r.wasCut && !r.lateLocked()
	return r.switches
}

func (r *relay) runTunnel(t *tunnel.Tunnel, fromClient, fromNode []byte) {
	r.lease.Stream()
	r.leaveBudget()
	r.metrics.tunnels.Inc()
	r.s.tunnels.Add(1)
	defer r.s.tunnels.Add(-1)
	s := r.s // r is used again when this has ended
	r.x.Reply.(exchange.Switcher).OnLeave(func() { t.GoAway(min(shutdownGoodbye, s.live.Load().Deadline)) })
	r.mu.Lock()
	r.tunnel = t
	if r.late || r.wasCut { // since it was looked at last
		r.endLocked()
	}
	r.mu.Unlock()
	end := t.Run(fromClient, fromNode)
	r.mu.Lock()
	r.tunnel = nil
	r.mu.Unlock()
	r.record.bytesIn += end.FromClient
	r.record.bytesOut += end.FromNode
	switch _, cut := r.ending(); {
	case r.isLate():
		r.record.err = r.lateness()
	case cut:
		r.record.err = "the node's drain reached its deadline"
	case end.Err != nil:
		r.record.err = end.Err.Error()
	}
}
