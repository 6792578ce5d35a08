// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	xhttp3 "github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"meridian/internal/testnet"
	"meridian/proxy/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server until the test ends.
func start(t *testing.T, c Config) (*Server, string) {
	cert, key := testnet.Certificate(t, "a.test")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, done := NewServer(c, NewKeys()), make(chan error, 1)
	s.linger = time.Second // nobody here is slow to read an answer of a few bytes
	go func() { done <- s.Serve(pc, conf) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testnet.Patience)
		defer cancel()
		if cut := s.Shutdown(ctx, time.Millisecond); cut > 0 {
			t.Errorf("%d requests were cut", cut)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s, pc.LocalAddr().String()
}

func client(t *testing.T, c *quic.Config) *http.Client {
	tr := &xhttp3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}, QUICConfig: c}
	t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: testnet.Patience}
}

func TestASlowBodyIsBounded(t *testing.T) {
	got := make(chan error, 1)
	_, addr := start(t, Config{BodyTimeout: 50 * time.Millisecond, Handler: func(x *exchange.Exchange) {
		_, err := io.ReadAll(x.Body)
		got <- err
	}})
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("x"))
	resp, err := client(t, nil).Post("https://"+addr+"/", "text/plain", r)
	if err == nil {
		resp.Body.Close()
	}
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestASlowReaderIsCutOff(t *testing.T) {
	got := make(chan error, 1)
	_, addr := start(t, Config{WriteTimeout: 100 * time.Millisecond, Handler: func(x *exchange.Exchange) {
		x.Reply.WriteHead(&exchange.Head{Status: 200, Length: exchange.LengthUnknown})
		var b [4096]byte
		for {
			if _, err := x.Reply.Write(b[:]); err != nil {
				got <- err
				return
			}
		}
	}})
	resp, err := client(t, nil).Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) { // nothing is read: the client's window fills
		t.Errorf("got %v", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer looks whole")
	}
	resp.Body.Close()
}

func TestConnectionsAboveTheLimitAreTurnedAway(t *testing.T) {
	s, addr := start(t, Config{MaxConnectionsPerAddress: 1, Handler: answer(200, "ok")})
	first := client(t, nil)
	resp, err := first.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp, err := client(t, nil).Get("https://" + addr + "/"); err == nil {
		resp.Body.Close()
		t.Errorf("the second connection got %d", resp.StatusCode)
	}
	first.Transport.(*xhttp3.Transport).Close()
	testnet.Wait(t, "the place to be free", func() bool { return s.Stats().Open == 0 })
}

func TestAPanicCostsOneRequest(t *testing.T) {
	told := make(chan any, 1)
	_, addr := start(t, Config{Handler: func(*exchange.Exchange) { panic("on purpose") }, Panicked: func(v any, _ []byte) { told <- v }})
	resp, err := client(t, nil).Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 500 || <-told != "on purpose" {
		t.Errorf("got %d", resp.StatusCode)
	}
}
