// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"net"
	"net/netip"

	"meridian/dns/wire"
)

// serveUDP answers packets one by one until ctx is done. Several may serve one socket.
func (s *Server) serveUDP(ctx context.Context, sock *socket) {
	in := make([]byte, wire.MaxQueryBytes+1) // one more, to tell what is too long
	out := make([]byte, 0, wire.MaxUDPBytes)
	var oob []byte
	if sock.anyAddress {
		oob = make([]byte, 256)
	}
	for faults := 0; ; {
		n, oobn, _, from, err := sock.udp.ReadMsgUDPAddrPort(in, oob)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if faults++; !s.pause(ctx, faults, "read UDP", err) {
				return
			}
			continue
		}
		faults = 0
		if n > wire.MaxQueryBytes {
			s.stats.tooLong.Inc()
			continue
		}
		if b := s.answer(out, in[:n], from.Addr().Unmap(), overUDP); b != nil {
			s.sendUDP(sock.udp, b, oob[:oobn], from)
			out = b[:0] // keeps what append has grown
		}
	}
}

// sendUDP sends an answer. One that can't be sent is dropped: the resolver asks again.
func (s *Server) sendUDP(c *net.UDPConn, b, oob []byte, to netip.AddrPort) {
	var err error
	if len(oob) > 0 {
		_, _, err = c.WriteMsgUDPAddrPort(b, departure(oob), to)
	} else {
		_, err = c.WriteToUDPAddrPort(b, to)
	}
	if err != nil {
		s.stats.unsent.Inc()
	}
}
