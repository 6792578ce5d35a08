// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"meridian/geo"
	"meridian/topology"
)

// linux says that all of 127.0.0.0/8 is this machine.
const linux = runtime.GOOS == "linux"

func config(listen ...string) Config {
	return Config{
		Listen:   listen,
		Snapshot: func() *topology.Snapshot { return nil },
		Choose: func(*topology.Name, netip.Addr) (geo.Choice, []netip.Addr) {
			return geo.Choice{}, nil
		},
		Metrics: metrics.NewSet(),
	}
}

// bound returns a server that listens on the addresses, to be closed by the test.
func bound(t *testing.T, listen ...string) *Server {
	t.Helper()
	s, err := New(config(listen...))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATakenPortIsNamedAndNothingStaysBound(t *testing.T) {
	for _, proto := range []string{"TCP", "UDP"} {
		other := bound(t, "127.0.0.1:0", "127.0.0.1:0") // both ports are free for both protocols
		free, taken := other.Addrs()[0].String(), other.Addrs()[1].String()
		other.sockets[0].close()
		if proto == "TCP" {
			_ = other.sockets[1].udp.Close()
		} else {
			_ = other.sockets[1].tcp.Close()
		}
		s, err := New(config(free, taken))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Listen()
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), proto+" "+taken+" is taken") {
			t.Errorf("%s: got %v", proto, err)
		}
		if len(s.Addrs()) != 0 {
			t.Errorf("%s: still bound to %v", proto, s.Addrs())
		}
		bound(t, free).Close() // fails if the address is still bound
		other.Close()
	}
}

func TestPortZeroGivesBothTransportsThePort(t *testing.T) {
	s := bound(t, "127.0.0.1:0", "127.0.0.1:0")
	defer s.Close()
	for i, a := range s.Addrs() {
		if got := s.sockets[i].tcp.Addr().String(); a.Port() == 0 || got != a.String() {
			t.Errorf("UDP %s, TCP %s", a, got)
		}
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"listen is empty":   func(c *Config) { c.Listen = nil },
		"is not an address": func(c *Config) { c.Listen = []string{"localhost:53"} },
		`"127.0.0.1"`:       func(c *Config) { c.Listen = []string{"127.0.0.1"} },
		`"127.0.0.1:dns"`:   func(c *Config) { c.Listen = []string{"127.0.0.1:dns"} },
		"Config.Snapshot":   func(c *Config) { c.Snapshot = nil },
		"nsid has 64":       func(c *Config) { c.NSID = strings.Repeat("x", 64) },
		"is negative":       func(c *Config) { c.MaxConnections = -1 },
		"timeout":           func(c *Config) { c.IdleTimeout = -1 },
	} {
		c := config("127.0.0.1:0")
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want something with %q", err, want)
		}
	}
}
