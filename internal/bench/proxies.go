// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
)

// startEdge starts an edge; none without a program.
func (l *lab) startEdge(name, program string) error {
	if program == "" {
		return nil
	}
	s := l.site
	s.Name = name
	if err := freeAddrs(&s.Clear, &s.Secure, &s.Admin); err != nil {
		return err
	}
	if _, err := s.write("topology.yaml", name+"-topology.yaml"); err != nil {
		return err
	}
	file, err := s.write("edge.yaml", name+".yaml")
	if err != nil {
		return err
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	p, err := l.launch(s.Secure, program, "serve", "-c", file)
	if err != nil {
		return err
	}
	addrs := map[string]string{http1: s.Clear, http2: s.Clear, secure: s.Secure, http3: s.Secure}
	l.peers = append(l.peers, &peer{name: name, version: firstLine(program, "version"), addrs: addrs, admin: s.Admin, proc: p})
	return nil
}

func (l *lab) startNginx() error {
	s := l.site
	s.Name = "nginx"
	if err := freeAddrs(&s.Clear, &s.Clear2, &s.Secure); err != nil {
		return err
	}
	file, err := s.write("nginx.conf", "nginx.conf")
	if err != nil {
		return err
	}
	p, err := l.launch(s.Clear, "nginx", "-c", file)
	if err != nil {
		return err
	}
	addrs := map[string]string{http1: s.Clear, http2: s.Clear2, secure: s.Secure}
	l.peers = append(l.peers, &peer{name: "nginx", version: firstLine("nginx", "-v"), addrs: addrs, proc: p})
	return nil
}

func (l *lab) startHAProxy() error {
	s := l.site
	s.Name = "haproxy"
	if err := freeAddrs(&s.Clear, &s.Clear2, &s.Secure); err != nil {
		return err
	}
	file, err := s.write("haproxy.cfg", "haproxy.cfg")
	if err != nil {
		return err
	}
	p, err := l.launch(s.Clear, "haproxy", "-db", "-f", file)
	if err != nil {
		return err
	}
	addrs := map[string]string{http1: s.Clear, http2: s.Clear2, secure: s.Secure}
	l.peers = append(l.peers, &peer{name: "HAProxy", version: firstLine("haproxy", "-v"), addrs: addrs, proc: p})
	return nil
}

// startCaddy starts the peer for HTTP/3; none without a program.
func (l *lab) startCaddy(program string) error {
	if program == "" {
		return nil
	}
	s := l.site
	s.Name = "caddy"
	if err := freeAddrs(&s.Secure); err != nil {
		return err
	}
	file, err := s.write("Caddyfile", "Caddyfile")
	if err != nil {
		return err
	}
	p, err := l.launch(s.Secure, program, "run", "--adapter", "caddyfile", "--config", file)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(program) // it says its version only when it was built from its own repository
	if err != nil {
		return fmt.Errorf("read the version of %s: %w", program, err)
	}
	version := fmt.Sprintf("%s, %s", info.Main.Version, info.GoVersion)
	l.peers = append(l.peers, &peer{name: "Caddy", version: version, addrs: map[string]string{http3: s.Secure}, proc: p})
	return nil
}
