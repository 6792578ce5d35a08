// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"meridian/internal/testnet"
	"meridian/proxy/tlsconf"
)

// withTLS has the edge listen with TLS, too, with a certificate for each name.
func withTLS(t testing.TB, names ...string) func(*Config) {
	dir := t.TempDir()
	var pairs []tlsconf.Pair
	for _, n := range names {
		cert, key := testnet.Certificate(t, n)
		p := tlsconf.Pair{Cert: filepath.Join(dir, n+".crt"), Key: filepath.Join(dir, n+".key")}
		if os.WriteFile(p.Cert, cert, 0o600) != nil || os.WriteFile(p.Key, key, 0o600) != nil {
			t.Fatal("the certificate could not be written")
		}
		pairs = append(pairs, p)
	}
	store, err := tlsconf.Open(tlsconf.Config{Pairs: pairs, Protocols: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.TLS, c.ListenTLS = store, []string{"127.0.0.1:0"} }
}

// secureAddr is the address of the listener with TLS.
func (e *edge) secureAddr() string { return e.s.Addrs()[1].String() }

// askTLS sends a request for host over a connection whose handshake names sni.
func (e *edge) askTLS(sni, host, path string, http2 bool) (*http.Response, string) {
	e.t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	tr := &http.Transport{TLSClientConfig: &tls.Config{ServerName: sni, InsecureSkipVerify: true}, Protocols: protocols}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest("GET", "https://"+e.secureAddr()+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	resp, err := (&http.Client{Transport: tr, Timeout: testnet.Patience}).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp, string(b)
}

func TestOverTLSTheNodeIsToldSo(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" "+r.Header.Get("X-Forwarded-For")+" "+r.Host)
	})
	if resp, body := e.askTLS("a.test", "a.test", "/", false); resp.StatusCode != 200 || body != "https 127.0.0.1 a.test" || resp.TLS.Version != tls.VersionTLS13 {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}

func TestARequestForAnotherCertificatesHostIsMisdirected(t *testing.T) {
	e := newEdge(t, withTLS(t, "a.test", "b.test"))
	reached := 0
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) { reached++ })
	if resp, body := e.askTLS("a.test", "B.test:443", "/", false); resp.StatusCode != 421 || reached > 0 || !strings.Contains(body, "certificate") {
		t.Errorf("got %d %q, %d requests reached the node", resp.StatusCode, body, reached)
	}
	if resp, _ := e.askTLS("b.test", "B.test.", "/", false); resp.StatusCode != 200 || reached != 1 {
		t.Errorf("got %d", resp.StatusCode)
	}
}
