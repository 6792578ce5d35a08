// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

//go:embed peers
var peers embed.FS

var configs = template.Must(template.New("").Funcs(template.FuncMap{"port": port}).ParseFS(peers, "peers/*"))

// port returns that of an address.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// lab is everything that runs. The first of peers is the edge under test. It must be stopped.
type lab struct {
	site    site // of which each peer takes a copy
	streams *streams
	procs   []*process
	peers   []*peer
}

// site is what the configurations in peers/ are made from.
type site struct {
	Name, Dir, Host       string
	Root                  bool
	CPUs                  int
	Small                 string    // the body of a small answer
	Nodes                 [2]string // addresses, as the following
	Streams               string
	Clear, Clear2, Secure string // HTTP/1.1, HTTP/2 with prior knowledge, TLS
	Admin                 string
	Cert, Key, Both       string // files
}

// The nodes' answers, in bytes.
const (
	smallSize = 100
	largeSize = 64 << 10
)

// The protocols of a scenario, by which a peer has addresses.
const (
	http1  = "http"
	http2  = "h2c"
	secure = "https" // HTTP/1.1 and HTTP/2
	http3  = "h3"
)

// peer is a proxy that is measured.
type peer struct {
	name, version string
	addrs         map[string]string // by protocol
	admin         string            // an edge's
	proc          *process
}

// start brings up the nodes and the proxies in a directory. The edges alone, if so wished.
func start(o options, dir string, edges bool) (*lab, error) {
	l := &lab{site: site{
		Dir: dir, Host: host, Root: os.Getuid() == 0, CPUs: runtime.NumCPU(), Small: strings.Repeat("x", smallSize),
		Cert: dir + "/cert.pem", Key: dir + "/key.pem", Both: dir + "/both.pem",
	}}
	starts := []func() error{
		l.startNodes,
		func() error { return writeCertificate(l.site.Cert, l.site.Key, l.site.Both) },
		func() error { return l.startEdge("edge", o.edge) },
		func() error { return l.startEdge("baseline", o.baseline) },
		l.startNginx,
		l.startHAProxy,
		func() error { return l.startCaddy(o.caddy) },
	}
	if edges {
		starts = starts[:4]
	}
	for _, f := range starts {
		if err := f(); err != nil {
			l.stop()
			return nil, err
		}
	}
	return l, nil
}

// with has f use a lab of its own.
func with(ctx context.Context, o options, edges bool, f func(*lab) error) error {
	dir, err := os.MkdirTemp("", "meridian-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the peers' files: %w", err)
	}
	defer os.RemoveAll(dir)
	l, err := start(o, dir, edges)
	if err != nil {
		return err
	}
	defer l.stop()
	if err := f(l); err != nil {
		return err
	}
	return ctx.Err()
}

func (l *lab) stop() {
	for _, p := range l.procs {
		p.stop()
	}
	if l.streams != nil {
		l.streams.stop()
	}
}

// freeAddr returns an address on loopback on which nothing listens, over TCP and UDP.
func freeAddr() (string, error) {
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := ln.Addr().String()
		ln.Close()
		if c, err := net.ListenPacket("udp", addr); err == nil {
			c.Close()
			return addr, nil
		}
	}
	return "", errors.New("no port of loopback is free over both TCP and UDP")
}

// freeAddrs sets each to an address that is free.
func freeAddrs(all ...*string) (err error) {
	for _, a := range all {
		if *a, err = freeAddr(); err != nil {
			return err
		}
	}
	return nil
}

// write makes a configuration from one of peers/, and returns its path.
func (s *site) write(config, name string) (string, error) {
	path := filepath.Join(s.Dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := configs.ExecuteTemplate(f, config, s); err != nil {
		return "", fmt.Errorf("write %s: %w", config, err)
	}
	return path, f.Close()
}

// launch starts a program and waits for it to listen.
func (l *lab) launch(addr, program string, args ...string) (*process, error) {
	p, err := launch(program, args...)
	if err != nil {
		return nil, err
	}
	l.procs = append(l.procs, p)
	return p, p.ready(addr)
}

// startNodes starts an nginx that is both nodes, and the node for streams.
func (l *lab) startNodes() error {
	s := &l.site
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.Dir+"/files", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.Dir+"/files/large", []byte(strings.Repeat("x", largeSize)), 0o644); err != nil {
		return err
	}
	var err error
	if l.streams, err = startStreams(); err != nil {
		return err
	}
	s.Streams = l.streams.addr
	if err := freeAddrs(&s.Nodes[0], &s.Nodes[1]); err != nil {
		return err
	}
	s.Name = "nodes"
	file, err := s.write("nodes.conf", "nodes.conf")
	if err != nil {
		return err
	}
	_, err = l.launch(s.Nodes[1], "nginx", "-c", file)
	return err
}

// firstLine returns the first line that a program prints.
func firstLine(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
