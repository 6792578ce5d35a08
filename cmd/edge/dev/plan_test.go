// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

func TestEachRegionHasItsLoopbackAddress(t *testing.T) {
	o := options(t)
	o.Regions, o.Workers = "us-east-1,eu-central-1", 2
	p := &Plan{Options: o}
	first, second := p.edge(0, "us-east-1"), p.edge(1, "eu-central-1")
	if want := "127.0.0.1:" + strconv.Itoa(o.HTTPPort); first.HTTP != want || first.Name != "edge-us-east-1" {
		t.Errorf("got %+v; want HTTP on %s", first, want)
	}
	if want := "127.0.0.2:" + strconv.Itoa(o.DNSPort); second.DNS != want || strings.Join(second.Workers, " ") != "mcp-eu-central-1-1 mcp-eu-central-1-2" {
		t.Errorf("got %+v; want DNS on %s", second, want)
	}
	p.OwnPorts = true
	if second, want := p.edge(1, "eu-central-1"), "127.0.0.1:"+strconv.Itoa(o.AdminPort+1); second.Admin != want {
		t.Errorf("with one loopback address: got %s; want %s", second.Admin, want)
	}
}

func TestAPlanThatCannotBeIsRefusedWithTheFlag(t *testing.T) {
	for _, c := range []struct {
		change func(*Options)
		want   []string
	}{
		{func(o *Options) { o.HTTPPort = 0 }, []string{"--http-port 0"}},
		{func(o *Options) { o.AdminPort = 65535 }, []string{"--admin-port 65535"}},
		{func(o *Options) { o.DNSPort, o.EtcdPort = -1, 70000 }, []string{"--dns-port -1", "--etcd-port 70000"}},
		{func(o *Options) { o.Workers = -1 }, []string{"--workers -1"}},
		{func(o *Options) { o.Workers = MaxWorkers + 1 }, []string{"--workers 51"}},
		{func(o *Options) { o.DataDir = "" }, []string{"--data-dir"}},
		{func(o *Options) { o.Regions = "atlantis" }, []string{"--regions"}},
		{func(o *Options) { o.AdminPort = o.HTTPPort }, []string{"--http-port and --admin-port both need port 127.0.0.1:"}},
		{func(o *Options) { o.DNSPort = o.HTTPPort }, []string{"--http-port and --dns-port both need port"}},
		{func(o *Options) { o.HTTPPort = o.EtcdPort + 1 }, []string{"--etcd-port", "--http-port"}},
	} {
		o := options(t)
		c.change(&o)
		_, err := NewPlan(o)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v; want %q in it", err, want)
			}
		}
	}
}

func TestPortsOfRegionsWithTheirOwnDoNotMeet(t *testing.T) {
	p := &Plan{Options: Options{HTTPPort: 8080, DNSPort: 8053, AdminPort: 8081, EtcdPort: 2379}, OwnPorts: true}
	p.Edges = []EdgePlan{p.edge(0, "a"), p.edge(1, "b")}
	if err := p.checkApart(); err == nil || !strings.Contains(err.Error(), "127.0.0.1:8081") {
		t.Errorf("got %v; want that two need 127.0.0.1:8081", err)
	}
}

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	o := options(t)
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckPorts(); err != nil {
		t.Fatalf("all are free: %v", err)
	}
	for _, l := range p.listeners() {
		var close func() error
		if l.network == "udp" {
			pc, err := net.ListenPacket("udp", l.address)
			if err != nil {
				t.Fatal(err)
			}
			close = pc.Close
		} else {
			ln, err := net.Listen("tcp", l.address)
			if err != nil {
				t.Fatal(err)
			}
			close = ln.Close
		}
		err := p.CheckPorts()
		close()
		if err == nil || !strings.Contains(err.Error(), l.network+" port") || !strings.Contains(err.Error(), l.address) || !strings.HasSuffix(err.Error(), l.flag) {
			t.Errorf("%+v: got %v", l, err)
		}
	}
}
