// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// receiveBytes is the kernel's buffer of a UDP socket, to outlast a pause of the process. The kernel may give less.
const receiveBytes = 1 << 20

// socket is one address with both transports.
type socket struct {
	udp *net.UDPConn
	tcp *net.TCPListener
	// anyAddress says that the socket takes packets for every address of the machine, so that each answer must be told
	// which one to leave from.
	anyAddress bool
}

func (s *socket) close() {
	if s.udp != nil {
		_ = s.udp.Close() // nothing is buffered that could be lost
	}
	if s.tcp != nil {
		_ = s.tcp.Close()
	}
}

// checkListen checks IP:PORT or :PORT.
func checkListen(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("dns: listen: %q is not an address; want IP:PORT or :PORT, as in 192.0.2.1:53", address)
	}
	return nil
}

// Listen binds every address for UDP and TCP. If one fails, none stays bound, and the error names the address and the
// protocol; errors.Is tells syscall.EADDRINUSE and fs.ErrPermission. It must be called once, before Run.
func (s *Server) Listen() error {
	for _, address := range s.cfg.Listen {
		sock, err := bind(address)
		if err != nil {
			s.Close()
			return err
		}
		s.sockets = append(s.sockets, sock)
	}
	return nil
}

// Addrs returns what Listen bound, in the order of Config.Listen.
func (s *Server) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, sock := range s.sockets {
		out = append(out, sock.udp.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return out
}

// Close gives back what Listen bound, for the case that Run is not to follow. Run does so itself at its end.
func (s *Server) Close() {
	for _, sock := range s.sockets {
		sock.close()
	}
	s.sockets = nil
}

// bind binds one address. With port 0 the kernel picks a port for TCP that may be taken for UDP; then another is tried.
func bind(address string) (*socket, error) {
	host, port, _ := net.SplitHostPort(address)
	for tries := 1; ; tries++ {
		sock, err := bindBoth(host, port)
		if err == nil || port != "0" || tries == 20 || !errors.Is(err, syscall.EADDRINUSE) {
			return sock, err
		}
	}
}

func bindBoth(host, port string) (*socket, error) {
	var lc net.ListenConfig
	address := net.JoinHostPort(host, port)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, bindError("TCP", address, err)
	}
	sock := &socket{tcp: l.(*net.TCPListener)}
	bound := sock.tcp.Addr().(*net.TCPAddr)
	sock.anyAddress = bound.IP.IsUnspecified()
	address = net.JoinHostPort(host, strconv.Itoa(bound.Port))
	pc, err := lc.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		sock.close()
		return nil, bindError("UDP", address, err)
	}
	sock.udp = pc.(*net.UDPConn)
	_ = sock.udp.SetReadBuffer(receiveBytes) // the kernel's own size does, only less long
	if sock.anyAddress {
		if err := askDestination(sock.udp); err != nil {
			sock.close()
			return nil, fmt.Errorf("dns: UDP %s: ask for destination addresses: %w (listen on single addresses instead)", address, err)
		}
	}
	return sock, nil
}

func bindError(proto, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("dns: %s %s is taken by another process; stop that, or change dns.listen: %w", proto, address, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("dns: %s %s may not be bound by this user; grant CAP_NET_BIND_SERVICE, or change dns.listen: %w", proto, address, err)
	}
	return fmt.Errorf("dns: %s %s: %w", proto, address, err)
}

// askDestination makes every packet come with the address that it was sent to. A socket of both families needs both
// options; one of a single family refuses the other's.
func askDestination(c *net.UDPConn) error {
	err6 := ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst, true)
	err4 := ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst, true)
	if err6 != nil && err4 != nil {
		return err4
	}
	return nil
}

// departure turns the control message of a packet into the one that makes its answer leave from the address that the
// packet was sent to. Nil: let the kernel pick.
func departure(oob []byte) []byte {
	var six ipv6.ControlMessage
	if six.Parse(oob) == nil && six.Dst != nil {
		if six.Dst.To4() == nil {
			return (&ipv6.ControlMessage{Src: six.Dst}).Marshal()
		}
		return (&ipv4.ControlMessage{Src: six.Dst.To4()}).Marshal()
	}
	var four ipv4.ControlMessage
	if four.Parse(oob) == nil && four.Dst != nil {
		return (&ipv4.ControlMessage{Src: four.Dst}).Marshal()
	}
	return nil
}
