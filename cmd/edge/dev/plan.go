// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"syscall"

	"meridian/topology"
)

// Plan is what a run consists of: who listens where.
type Plan struct {
	Options
	Regions []*topology.Region
	Edges   []EdgePlan
	// OwnPorts says that there is only one loopback address: each region has its own ports instead.
	OwnPorts bool
}

// EdgePlan is one edge and the workers beside it.
type EdgePlan struct {
	Name             string
	Region           topology.RegionID
	IP               netip.Addr
	HTTP, DNS, Admin string // IP:PORT
	Workers          []string
}

// NewPlan checks the options and lays out the addresses. It keeps no port.
func NewPlan(o Options) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	have, _ := readSettings(o.DataDir) // what is wrong with them is said by checkSettings: it is no mistake in the options
	if have == nil {
		have = new(settings)
	}
	regions, err := parseRegions(o.Regions, have.Places)
	if err != nil {
		return nil, err
	}
	p := &Plan{Options: o, Regions: regions}
	for i := range regions {
		p.OwnPorts = p.OwnPorts || i > 0 && !canBind(loopback(i))
	}
	if p.OwnPorts {
		if most := 65536 - len(regions); max(o.HTTPPort, o.DNSPort, o.AdminPort) > most {
			return nil, fmt.Errorf("each region has ports of its own on this machine; want --http-port, --dns-port and --admin-port up to %d", most)
		}
	}
	for i, r := range regions {
		p.Edges = append(p.Edges, p.edge(i, r.Name))
	}
	return p, p.checkApart()
}

// listener is one address that the plan needs.
type listener struct{ network, address, flag string }

// listeners lists every address of the plan with the flag that changes it.
func (p *Plan) listeners() []listener {
	etcd := func(port int) string { return net.JoinHostPort(loopback(0).String(), strconv.Itoa(port)) }
	out := []listener{
		{"tcp", etcd(p.EtcdPort), "--etcd-port"},
		{"tcp", etcd(p.EtcdPort + 1), "--etcd-port (etcd also uses the next port)"},
	}
	for _, e := range p.Edges {
		out = append(out, listener{"tcp", e.HTTP, "--http-port"}, listener{"tcp", e.DNS, "--dns-port"},
			listener{"udp", e.DNS, "--dns-port"}, listener{"tcp", e.Admin, "--admin-port"})
	}
	return out
}

// checkApart refuses two listeners on one address.
func (p *Plan) checkApart() error {
	has := map[string]string{}
	for _, l := range p.listeners() {
		if l.network != "tcp" {
			continue
		}
		if other, taken := has[l.address]; taken {
			return fmt.Errorf("%s and %s both need port %s; choose another for one of them", other, l.flag, l.address)
		}
		has[l.address] = l.flag
	}
	return nil
}

func (p *Plan) edge(i int, region topology.RegionID) EdgePlan {
	ip, shift := loopback(i), 0
	if p.OwnPorts {
		ip, shift = loopback(0), i
	}
	at := func(port int) string { return netip.AddrPortFrom(ip, uint16(port+shift)).String() }
	e := EdgePlan{
		Name: "edge-" + string(region), Region: region, IP: ip,
		HTTP: at(p.HTTPPort), DNS: at(p.DNSPort), Admin: at(p.AdminPort),
	}
	for n := range p.Workers {
		e.Workers = append(e.Workers, fmt.Sprintf("mcp-%s-%d", region, n+1))
	}
	return e
}

// loopback returns 127.0.0.1 for 0, 127.0.0.2 for 1, and so on.
func loopback(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}) }

// canBind reports whether the machine has the address; macOS has only 127.0.0.1 unless it is told otherwise.
func canBind(ip netip.Addr) bool {
	ln, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// EtcdURL is where etcd's clients connect.
func (p *Plan) EtcdURL() string { return "http://127.0.0.1:" + strconv.Itoa(p.EtcdPort) }

// PeerURL is where etcd's peers would connect.
func (p *Plan) PeerURL() string { return "http://127.0.0.1:" + strconv.Itoa(p.EtcdPort+1) }

func (p *Plan) etcdDir() string            { return filepath.Join(p.DataDir, "etcd") }
func (p *Plan) edgeDir(name string) string { return filepath.Join(p.DataDir, "edges", name) }
func (p *Plan) logFile(name string) string { return filepath.Join(p.DataDir, "logs", name+".log") }
func (p *Plan) lockFile() string           { return filepath.Join(p.DataDir, "lock") }

// CheckPorts binds every planned address for a moment. The error names the first that is taken and the flag that
// changes it.
func (p *Plan) CheckPorts() error {
	for _, l := range p.listeners() {
		if err := free(l.network, l.address, l.flag); err != nil {
			return err
		}
	}
	return nil
}

func free(network, address, flag string) error {
	err := tryBind(network, address)
	_, port, _ := net.SplitHostPort(address)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s port %s (%s) is taken; end the program that has it, or choose another port with %s", network, port, address, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s port %s (%s) needs more rights than this user has; choose one above 1023 with %s", network, port, address, flag)
	}
	return fmt.Errorf("%s port %s (%s): %w; choose another with %s", network, port, address, err, flag)
}

func tryBind(network, address string) error {
	if network == "udp" {
		pc, err := net.ListenPacket(network, address)
		if err == nil {
			pc.Close()
		}
		return err
	}
	ln, err := net.Listen(network, address)
	if err == nil {
		ln.Close()
	}
	return err
}
