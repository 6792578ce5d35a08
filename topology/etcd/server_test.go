// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"meridian/topology"
)

func TestAPortThatIsTakenIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	_, port, _ := net.SplitHostPort(taken)
	for name, cfg := range map[string]ServerConfig{
		"client": {ClientURL: "http://" + taken, PeerURL: "http://" + freeAddress(t)},
		"peer":   {ClientURL: "http://" + freeAddress(t), PeerURL: "http://" + taken},
	} {
		cfg.Dir = t.TempDir()
		err := RunServer(deadline(t), cfg)
		if err == nil || !strings.Contains(err.Error(), "port "+port+" is taken") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWrongServerConfigurationIsRefused(t *testing.T) {
	ok := "http://127.0.0.1:1"
	for _, cfg := range []ServerConfig{
		{Dir: t.TempDir(), ClientURL: "127.0.0.1:1", PeerURL: ok},
		{Dir: t.TempDir(), ClientURL: ok, PeerURL: "https://127.0.0.1:1"},
		{ClientURL: ok, PeerURL: ok},
	} {
		if err := RunServer(deadline(t), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestAServerWithOpenWatchesEndsSoon(t *testing.T) {
	s := newServer(t)
	c := s.client(t)
	f := follow(t, c, WatcherConfig{})
	f.until(t, 5*time.Second, "anything", func(*topology.Snapshot) bool { return true })
	r, _ := register(t, c, RegistrarConfig{Key: node(1).Key(), Value: valueOf(node(1))})
	if err := r.Wait(deadline(t)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.stop(t)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	} else {
		t.Logf("ended in %s", took)
	}
}

func TestAServerThatIsEndedWhileStartingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := RunServer(ctx, ServerConfig{Dir: t.TempDir(), ClientURL: "http://" + freeAddress(t), PeerURL: "http://" + freeAddress(t)}); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}
