// SPDX-License-Identifier: Apache-2.0

package tlsconf

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair writes a new pair for the names into dir.
func pair(t *testing.T, dir string, names ...string) Pair {
	cert, key := testnet.Certificate(t, names...)
	p := Pair{filepath.Join(dir, names[0]+".crt"), filepath.Join(dir, names[0]+".key")}
	write(t, p.Cert, cert)
	write(t, p.Key, key)
	return p
}

func write(t *testing.T, path string, b []byte) {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shake makes a handshake over a pipe and returns the client's view of it.
func shake(t *testing.T, s *Store, c *tls.Config) (tls.ConnectionState, error) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	c.InsecureSkipVerify = true
	done := make(chan struct{})
	go func() { tls.Server(server, s.TLS()).Handshake(); server.Close(); close(done) }()
	conn := tls.Client(client, c)
	err := conn.Handshake()
	client.Close()
	<-done
	return conn.ConnectionState(), err
}

// shown returns the first name of the certificate that is shown for a server name.
func shown(t *testing.T, s *Store, name string) string {
	t.Helper()
	st, err := shake(t, s, &tls.Config{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return st.PeerCertificates[0].DNSNames[0]
}

func TestTheCertificateIsChosenByServerName(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Pairs: []Pair{pair(t, dir, "a.test"), pair(t, dir, "star", "*.b.test"), pair(t, dir, "c.b.test")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.test": "a.test", "A.TeSt": "a.test", "x.b.test": "star", "c.b.test": "c.b.test", "y.x.b.test": "a.test", "b.test": "a.test",
		"other.test": "a.test", "": "a.test",
	} {
		if got := shown(t, s, name); got != want {
			t.Errorf("%q: got the certificate of %s, want %s", name, got, want)
		}
	}
	for _, c := range []struct {
		sni, host string
		want      bool
	}{
		{"a.test", "a.test", false}, {"a.test", "A.test.", false}, {"a.test", "c.b.test", true}, {"x.b.test", "y.b.test", false}, {"x.b.test", "c.b.test", true},
		{"x.b.test", "unknown.test", true}, {"a.test", "unknown.test", false}, {"", "192.0.2.1", false}, {"", "c.b.test", true}, {"c.b.test", "192.0.2.1", true},
	} {
		if got := s.Misdirected(c.sni, c.host); got != c.want {
			t.Errorf("server name %q, host %q: misdirected is %v", c.sni, c.host, got)
		}
	}
}

func TestOldVersionsAndUnknownProtocolsAreRefused(t *testing.T) {
	s, err := Open(Config{Pairs: []Pair{pair(t, t.TempDir(), "a.test")}, Protocols: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shake(t, s, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if _, err := shake(t, s, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}); err == nil {
		t.Error("a CBC suite is spoken")
	}
	if _, err := shake(t, s, &tls.Config{NextProtos: []string{"spdy/3"}}); err == nil {
		t.Error("a protocol that is not spoken is taken")
	}
	for _, offer := range [][]string{{"h2", "http/1.1"}, {"http/1.1"}} {
		if st, err := shake(t, s, &tls.Config{NextProtos: offer}); err != nil || st.NegotiatedProtocol != offer[0] {
			t.Errorf("of %v %q was chosen, %v", offer, st.NegotiatedProtocol, err)
		}
	}
}

func TestChangedFilesAreLoadedAndABadPairKeepsTheOld(t *testing.T) {
	dir := t.TempDir()
	p := pair(t, dir, "a.test")
	var log bytes.Buffer
	s, err := Open(Config{Pairs: []Pair{p}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	before := s.set.Load()
	s.reload()
	if s.set.Load() != before {
		t.Error("unchanged files were loaded")
	}
	cert, key := testnet.Certificate(t, "new.test", "a.test")
	write(t, p.Cert, cert) // with the old key
	s.reload()
	if got := shown(t, s, "a.test"); got != "a.test" || !strings.Contains(log.String(), "stays in use") || !strings.Contains(log.String(), p.Cert) {
		t.Errorf("a pair that does not match: %s is shown; the log has %q", got, log.String())
	}
	log.Reset()
	s.reload()
	if log.Len() > 0 {
		t.Errorf("the same mistake was logged twice: %q", log.String())
	}
	write(t, p.Key, key)
	s.reload()
	if got := shown(t, s, "a.test"); got != "new.test" {
		t.Errorf("after the change %s is shown", got)
	}
	os.Remove(p.Key)
	s.reload()
	if got := shown(t, s, "a.test"); got != "new.test" {
		t.Errorf("without its file %s is shown", got)
	}
}

func TestRunSeesAChange(t *testing.T) {
	p := pair(t, t.TempDir(), "a.test")
	s, err := Open(Config{Pairs: []Pair{p}, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	cert, key := testnet.Certificate(t, "new.test")
	write(t, p.Key, key)
	write(t, p.Cert, cert)
	testnet.Wait(t, "the new certificate", func() bool { return s.set.Load().certs[0].Leaf.DNSNames[0] == "new.test" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

func TestWhatCannotBeLoadedIsNamed(t *testing.T) {
	dir := t.TempDir()
	good := pair(t, dir, "a.test")
	garbage := filepath.Join(dir, "garbage")
	write(t, garbage, []byte("no PEM"))
	for _, c := range []struct {
		p    Pair
		want string
	}{
		{Pair{filepath.Join(dir, "none"), good.Key}, "none"}, {Pair{garbage, good.Key}, garbage}, {Pair{good.Cert, garbage}, garbage},
		{Pair{good.Cert, pair(t, dir, "b.test").Key}, good.Cert},
	} {
		if _, err := Open(Config{Pairs: []Pair{good, c.p}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want it to name %s", err, c.want)
		}
	}
}

// TestPairsCanBeExchanged also holds that without any a handshake fails, and that a change with a mistake changes nothing.
func TestPairsCanBeExchanged(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			if c, err := ln.Accept(); err == nil {
				c.(*tls.Conn).Handshake()
				c.Close()
			}
		}()
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return "nothing"
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	want := func(name string) {
		t.Helper()
		if got := shown(); got != name {
			t.Errorf("shown is %s, want %s", got, name)
		}
	}
	want("nothing")
	if !s.NotAfter().IsZero() || s.Misdirected("a.test", "b.test") {
		t.Error("without a certificate there is one")
	}
	a, b := pair(t, dir, "a.test"), pair(t, dir, "b.test")
	for _, p := range []Pair{a, b} {
		use, err := s.Prepare([]Pair{p})
		if err != nil {
			t.Fatal(err)
		}
		use()
	}
	want("b.test")
	if _, err := s.Prepare([]Pair{a, {a.Cert, b.Key}}); err == nil {
		t.Error("a pair that does not fit is taken")
	}
	if _, err := s.Prepare([]Pair{a}); err != nil {
		t.Error(err) // and not used
	}
	want("b.test")
	s.reload() // of those that are in use
	want("b.test")
}

func TestSessionsAreResumedAndKeepTheirServerName(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Pairs: []Pair{pair(t, dir, "a.test"), pair(t, dir, "b.test")}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	names, done := make(chan string, 2), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			names <- c.(*tls.Conn).ConnectionState().ServerName
			c.Write([]byte("x"))
			c.Close()
		}
	}()
	roots := x509.NewCertPool()
	for _, c := range s.set.Load().certs {
		roots.AddCert(c.Leaf)
	}
	conf := &tls.Config{ServerName: "b.test", RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for _, resumed := range []bool{false, true} {
		c, err := tls.Dial("tcp", ln.Addr().String(), conf)
		if err != nil {
			t.Fatal(err)
		}
		c.Read(make([]byte, 1)) // the ticket comes with it
		if got := c.ConnectionState().DidResume; got != resumed {
			t.Errorf("resumed: %v, want %v", got, resumed)
		}
		if name := <-names; name != "b.test" {
			t.Errorf("the server saw the name %q", name)
		}
		c.Close()
	}
	ln.Close()
	<-done
}
