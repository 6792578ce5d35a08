// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"meridian/config"
)

func TestEveryPeerGetsItsConfiguration(t *testing.T) {
	s := &site{
		Name: "peer", Dir: t.TempDir(), Host: host, CPUs: 3, Nodes: [2]string{"127.0.0.1:1001", "127.0.0.1:1002"}, Streams: "127.0.0.1:1003",
		Clear: "127.0.0.1:2001", Clear2: "127.0.0.1:2002", Secure: "127.0.0.1:2003", Admin: "127.0.0.1:2004",
		Cert: "/c.pem", Key: "/k.pem", Both: "/b.pem",
	}
	for name, wants := range map[string][]string{
		"nodes.conf":    {"listen 127.0.0.1:1001", "listen 127.0.0.1:1002", "daemon off"},
		"nginx.conf":    {"worker_processes 3", "listen 127.0.0.1:2001", "listen 127.0.0.1:2002", "listen 127.0.0.1:2003", "server 127.0.0.1:1002", "access_log off"},
		"haproxy.cfg":   {"nbthread 3", "bind 127.0.0.1:2003", "crt /b.pem", "server s1 127.0.0.1:1003"},
		"Caddyfile":     {"https://bench.test:2003", "tls /c.pem /k.pem", "127.0.0.1:1001 127.0.0.1:1002"},
		"edge.yaml":     {`listen: ["127.0.0.1:2001"]`, "key: /k.pem"},
		"topology.yaml": {`address: "127.0.0.1:1003"`},
	} {
		file, err := s.write(name, name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, b)
			}
		}
		if name == "edge.yaml" {
			if _, mistakes := config.ParseEdge(name, b); len(mistakes) > 0 {
				t.Error(mistakes)
			}
		}
		if name == "topology.yaml" {
			if _, mistakes := config.ParseTopology(name, b); len(mistakes) > 0 {
				t.Error(mistakes)
			}
		}
	}
}

func TestTheCertificateFitsItsKey(t *testing.T) {
	dir := t.TempDir()
	cert, key, both := filepath.Join(dir, "c"), filepath.Join(dir, "k"), filepath.Join(dir, "b")
	if err := writeCertificate(cert, key, both); err != nil {
		t.Fatal(err)
	}
	for _, files := range [][2]string{{cert, key}, {both, both}} {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

func TestAProfileLosesItsPaths(t *testing.T) {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 0); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(unzipped(t, profile.Bytes()), program) {
		t.Skip("the profile does not name its program")
	}
	out, err := withoutPaths(profile.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	text := unzipped(t, out)
	if strings.Contains(text, program) || !strings.Contains(text, filepath.Base(program)) {
		t.Errorf("the program's directory is there still, or its name is not: %q", text)
	}
	if !strings.Contains(text, "TestAProfileLosesItsPaths") {
		t.Error("a function has lost its name")
	}
	for _, bad := range []string{"", "text", string(zipped([]byte{stringTable<<3 | 2, 9, 'x'})), string(zipped([]byte{0x80})), string(zipped([]byte{7, 0}))} {
		if _, err := withoutPaths([]byte(bad)); err == nil {
			t.Errorf("%q is taken as a profile", bad)
		}
	}
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func unzipped(t *testing.T, b []byte) string {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
