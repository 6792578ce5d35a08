// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// proxy is what stands before the nodes.
type proxy struct {
	kind  string // edge, HAProxy or nginx
	addr  string // where clients connect
	admin string // the edge's
	proc  *process
	edge  string // its program, and its etcd, where it has one
	etcd  *process
	store string
	quit  syscall.Signal
}

// kinds are the proxies that are measured.
var kinds = []string{"edge", "HAProxy", "nginx"}

//go:embed proxies
var configs embed.FS

var templates = template.Must(template.New("").ParseFS(configs, "proxies/*"))

// settings are what the templates of configurations know.
type settings struct {
	Dir   string
	Addr  string // where clients connect
	Admin string
	Root  bool
	Nodes []*backend
	Fault *fault
	Times times
	Etcd  string // URL; "": a topology file
}

// Name and Addr are for the templates.
func (b *backend) Name() string { return b.name }

// Addr returns IP:PORT.
func (b *backend) Addr() string { return b.addr }

// startProxy starts a proxy of the kind before the site's nodes.
func startProxy(s *site, p programs, kind string) (*proxy, error) {
	set := settings{Dir: s.dir, Nodes: s.nodes, Fault: s.fault, Times: s.times, Root: os.Geteuid() == 0}
	var err error
	if set.Addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if set.Admin, err = freeAddr(); err != nil {
		return nil, err
	}
	x := &proxy{kind: kind, addr: set.Addr, admin: set.Admin, quit: syscall.SIGTERM}
	switch kind {
	case "edge":
		x.edge = p.edge
		if s.fault.Etcd {
			if err := x.startEtcd(&set); err != nil {
				x.end()
				return nil, err
			}
		}
		err = x.start(set, exec.Command(p.edge, "serve", "-c", s.path("edge.yaml")), "edge.yaml", "topology.yaml")
	case "HAProxy":
		err = x.start(set, exec.Command("haproxy", "-db", "-f", s.path("haproxy.cfg")), "haproxy.cfg")
	case "nginx":
		err = x.start(set, exec.Command("nginx", "-c", s.path("nginx.conf")), "nginx.conf")
	default:
		err = fmt.Errorf("no proxy is called %q; want one of %s", kind, strings.Join(kinds, ", "))
	}
	if err != nil {
		x.end()
		return nil, err
	}
	return x, nil
}

func (x *proxy) start(set settings, cmd *exec.Cmd, files ...string) (err error) {
	for _, name := range files {
		if err := write(name, set); err != nil {
			return err
		}
	}
	if x.proc, err = launch(cmd); err != nil {
		return err
	}
	for late := time.Now().Add(awaited); ; {
		nc, err := net.DialTimeout("tcp", x.addr, time.Second)
		if err == nil {
			return nc.Close()
		}
		select {
		case <-x.proc.ended:
			return fmt.Errorf("%s has ended:%s", x.kind, x.proc.tail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s does not listen at %s:%s", x.kind, x.addr, x.proc.tail())
		}
	}
}

// write writes a configuration into the site's directory.
func write(name string, set settings) error {
	f, err := os.OpenFile(set.Dir+"/"+name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = templates.ExecuteTemplate(f, name, set)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (x *proxy) end() {
	for _, p := range []*process{x.proc, x.etcd} {
		if p != nil {
			p.end(x.quit)
		}
	}
}

// decided matches what a proxy prints when it has come to a verdict on a node, with the node's name or address.
var decided = map[string]*regexp.Regexp{
	"edge":    regexp.MustCompile(`msg=health of=(\S+) state=(refused|down|ejected)`),
	"HAProxy": regexp.MustCompile(`Server nodes/(\S+) is (DOWN)`),
	"nginx":   regexp.MustCompile(`upstream server (temporarily disabled) while .* upstream: "http://([^/"]+)`),
}

// undecided matches what a proxy prints when it takes a node back. nginx says nothing.
var undecided = map[string]*regexp.Regexp{
	"edge":    regexp.MustCompile(`msg=health of=(\S+) state=(up|half-open)`),
	"HAProxy": regexp.MustCompile(`Server nodes/(\S+) is (UP)`),
}

// decision returns when the proxy has taken the node out, from a time on: at that time, if it was out already. Zero: it hasn't.
func (x *proxy) decision(n *backend, from time.Time) time.Time {
	about := func(re *regexp.Regexp, text string) bool { return n.said(re, text) != "" }
	lines, _ := x.proc.printed(0)
	out := false
	for _, l := range lines {
		is := about(decided[x.kind], l.text)
		switch {
		case l.at.Before(from):
			out = is && undecided[x.kind] != nil || out && !about(undecided[x.kind], l.text)
		case out:
			return from
		case is:
			return l.at
		}
	}
	if out {
		return from
	}
	return time.Time{}
}

// said returns what a line says that a node is, if it matches and is about it.
func (b *backend) said(re *regexp.Regexp, text string) string {
	if re == nil {
		return ""
	}
	m := re.FindStringSubmatch(text)
	switch {
	case m == nil:
		return ""
	case m[1] == b.name:
		return m[2]
	case m[2] == b.addr: // nginx's
		return "DOWN"
	}
	return ""
}

// change is one of a node's standing, as a proxy said it.
type change struct {
	at    time.Time
	state string
	out   bool // it is not picked
}

// changes returns what the proxy has said of a node. nginx doesn't say when it takes one back.
func (x *proxy) changes(n *backend) (all []change) {
	lines, _ := x.proc.printed(0)
	for _, l := range lines {
		if s := n.said(decided[x.kind], l.text); s != "" {
			all = append(all, change{l.at, s, true})
		} else if s := n.said(undecided[x.kind], l.text); s != "" {
			all = append(all, change{l.at, s, false})
		}
	}
	return all
}

// freeAddr returns an address on loopback at which nothing listens.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
