// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// TestTLSIsReloaded brings TLS to a running edge, exchanges its certificate on disk and by the configuration, and takes it
// away again, with a stream open on the clear listener.
func TestTLSIsReloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events := make(chan string)
	put := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pair := func(file, host string) (cert, key string) {
		c, k := testnet.Certificate(t, host)
		return put(file+".crt", string(c)), put(file+".key", string(k))
	}
	topology := put("topology.yaml", fmt.Sprintf("regions: [{name: lab}]\npools: [{name: web, health_check: {type: tcp}}]\nnodes: [{name: n1, pool: web, region: lab, address: %q}]\nroutes: [{name: r, pool: web}]\n", streamsNode(t, events)))
	at := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	clear, secure, admin := at(), at(), at()
	r := &reloadable{t: t, file: filepath.Join(dir, "edge.yaml"), admin: "http://" + admin}
	base := fmt.Sprintf("name: e1\nregion: lab\ntopology_file: %s\nadmin: {listen: %q}\nhttp: {listen: [%q]}\n", topology, admin, clear)
	r.write("%s", base+"https: {http3: true}\n")
	r.program = startProgram(t, "edge", "serve", "-c", r.file)
	// shown asks by a protocol and returns what came: the version, the status and the certificate's name.
	shown := func(protocol, sni string) string {
		conf := &tls.Config{InsecureSkipVerify: true, ServerName: sni}
		p := new(http.Protocols)
		p.SetHTTP1(protocol == "1")
		p.SetHTTP2(protocol == "2")
		tr := &http.Transport{TLSClientConfig: conf, Protocols: p}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequest("GET", "https://"+secure+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = sni
		resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Do(req)
		if err != nil {
			return "nothing"
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		if !strings.HasPrefix(resp.Header.Get("Alt-Svc"), `h3=":`) {
			t.Errorf("HTTP/3 is not announced: %q", resp.Header.Get("Alt-Svc"))
		}
		return fmt.Sprintf("%d %d %s", resp.ProtoMajor, resp.StatusCode, resp.TLS.PeerCertificates[0].DNSNames[0])
	}
	get := func(path string) (*http.Response, error) {
		return (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest("GET", "http://"+clear+path, nil)))
	}
	r.wait("the edge to serve", func() bool {
		resp, err := get("/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 200
	})
	stream, err := get("/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	event := func(s string) {
		t.Helper()
		events <- s
		b := make([]byte, len("data: \n\n")+len(s))
		if _, err := io.ReadFull(stream.Body, b); err != nil || string(b) != "data: "+s+"\n\n" {
			t.Fatalf("the stream brought %q, %v", b, err)
		}
	}
	event("clear")

	aCert, aKey := pair("a", "a.test")
	https := func(cert, key string) string {
		return base + fmt.Sprintf("https: {http3: true, listen: [%q], certificates: [{cert: %s, key: %s}]}\n", secure, cert, key)
	}
	r.write("%s", https(aCert, filepath.Join(dir, "none.key")))
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "none.key") || shown("1", "a.test") != "nothing" {
		t.Errorf("a key that is not there: exit code %d, %s", code, out)
	}
	r.write("%s", https(aCert, aKey))
	if out, code := r.reload(); code != 0 || !strings.Contains(out, "https.certificates") || !strings.Contains(out, "https.listen") {
		t.Fatalf("exit code %d, %s", code, out)
	}
	for _, protocol := range []string{"1", "2"} {
		if got := shown(protocol, "a.test"); got != protocol+" 200 a.test" {
			t.Errorf("HTTP/%s got %s", protocol, got)
		}
	}
	event("TLS is there")

	pair("a", "renewed.test") // on disk only
	r.wait("the certificate on disk to be shown", func() bool { return shown("2", "renewed.test") == "2 200 renewed.test" })
	bCert, bKey := pair("b", "b.test")
	r.write("%s", https(bCert, bKey))
	if out, code := r.reload(); code != 0 || out != "reloaded; changed: https.certificates\n" {
		t.Errorf("other files: exit code %d, %s", code, out)
	}
	for _, protocol := range []string{"1", "2"} {
		if got := shown(protocol, "b.test"); got != protocol+" 200 b.test" {
			t.Errorf("HTTP/%s got %s", protocol, got)
		}
	}
	r.write("%s", base+"https: {http3: true}\n")
	if out, code := r.reload(); code != 0 || shown("1", "b.test") != "nothing" {
		t.Errorf("without TLS: exit code %d, %s", code, out)
	}
	r.write("%s", base)
	if out, code := r.reload(); code != 1 || !strings.Contains(out, "https.http3: it can't change") {
		t.Errorf("without HTTP/3: exit code %d, %s", code, out)
	}
	event("TLS is gone")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
