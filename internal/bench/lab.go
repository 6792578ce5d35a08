// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
)

// peer is a proxy that is measured.
type peer struct {
	name, version string
	addr          string            // of its clear port
	urls          map[string]string // by scheme, without a path
	proc          *process
}

// lab is everything that runs. The first of peers is the edge under test.
type lab struct {
	dir   string
	nodes [2]string // their addresses
	procs []*process
	peers []*peer
}

func (l *lab) stop() {
	for _, p := range l.procs {
		p.stop()
	}
}

// start brings up the nodes and the proxies.
func (l *lab) start(o options) error {
	if err := l.startNodes(); err != nil {
		return err
	}
	if err := l.startEdge("edge", o.edge); err != nil {
		return err
	}
	if o.baseline != "" {
		if err := l.startEdge("baseline", o.baseline); err != nil {
			return err
		}
	}
	if err := l.startNginx(); err != nil {
		return err
	}
	return l.startHAProxy()
}

// freeAddr returns an address on loopback that nothing listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// add starts a program with a configuration file whose name takes the place of FILE in args, and waits for it.
func (l *lab) add(name, config, addr string, args ...string) (*process, error) {
	file := filepath.Join(l.dir, name)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FILE", file)
	}
	p, err := launch(args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	l.procs = append(l.procs, p)
	return p, p.ready(addr)
}

// nginxMain is the part that every nginx of ours has: as many workers as processors, no log, no file but its own.
func (l *lab) nginxMain(name string, workers int) string {
	who := ""
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		who = "user root;\n" // its workers read files below the temporary directory
	}
	return fmt.Sprintf(`%sdaemon off; worker_processes %d; worker_rlimit_nofile 20000; error_log stderr crit; pid %s/%s.pid;
events { worker_connections 19000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
client_body_temp_path %s/%s-body; proxy_temp_path %s/%s-proxy; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
client_body_buffer_size 64k;
`, who, workers, l.dir, name, l.dir, name, l.dir, name, l.dir, l.dir, l.dir)
}

// startNodes starts one nginx that is both nodes: it costs less than the proxies.
func (l *lab) startNodes() error {
	for i := range l.nodes {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		l.nodes[i] = addr
	}
	if err := os.WriteFile(filepath.Join(l.dir, "large"), []byte(strings.Repeat("x", 64<<10)), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(l.dir, 0o755); err != nil {
		return err
	}
	config := l.nginxMain("nodes", 1) + fmt.Sprintf(`sendfile on; open_file_cache max=10; open_file_cache_valid 600s; root %s;
server { listen %s backlog=4096; listen %s backlog=4096;
location = /small { default_type application/json; return 200 '%s'; } } }
`, l.dir, l.nodes[0], l.nodes[1], strings.Repeat("x", 100))
	_, err := l.add("nodes.conf", config, l.nodes[1], "nginx", "-c", "FILE")
	return err
}

func (l *lab) startNginx() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	config := l.nginxMain("nginx", runtime.NumCPU()) + fmt.Sprintf(`upstream nodes { server %s; server %s; keepalive 512; keepalive_requests 1000000000; }
server { listen %s backlog=4096; location / { proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Host $http_host; } } }
`, l.nodes[0], l.nodes[1], addr)
	p, err := l.add("nginx.conf", config, addr, "nginx", "-c", "FILE")
	if err != nil {
		return err
	}
	l.peers = append(l.peers, &peer{"nginx", firstLine("nginx", "-v"), addr, map[string]string{"http": "http://" + addr}, p})
	return nil
}

func (l *lab) startHAProxy() error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`global
  nbthread %d
  maxconn 9500
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
  http-reuse always
frontend in
  bind %s backlog 4096
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
  default_backend nodes
backend nodes
  balance leastconn
  server n1 %s
  server n2 %s
`, runtime.NumCPU(), addr, l.nodes[0], l.nodes[1])
	p, err := l.add("haproxy.cfg", config, addr, "haproxy", "-db", "-f", "FILE")
	if err != nil {
		return err
	}
	l.peers = append(l.peers, &peer{"haproxy", firstLine("haproxy", "-v"), addr, map[string]string{"http": "http://" + addr}, p})
	return nil
}

// startEdge starts an edge. Listeners for further schemes belong here, with their entries in urls.
func (l *lab) startEdge(name, program string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	admin, err := freeAddr()
	if err != nil {
		return err
	}
	topology := filepath.Join(l.dir, name+"-topology.yaml")
	resources := fmt.Sprintf(`regions: [{name: lab}]
pools: [{name: web}]
nodes:
  - {name: n1, pool: web, region: lab, address: "%s"}
  - {name: n2, pool: web, region: lab, address: "%s"}
routes: [{name: web, pool: web}]
`, l.nodes[0], l.nodes[1])
	if err := os.WriteFile(topology, []byte(resources), 0o644); err != nil {
		return err
	}
	config := fmt.Sprintf(`name: bench
region: lab
http: {listen: ["%s"]}
admin: {listen: "%s"}
topology_file: %s
data_dir: %s
access_log: "off"
limits: {max_connections: 19000, max_connections_per_address: 19000, idle_timeout: 5m}
`, addr, admin, topology, filepath.Join(l.dir, name+"-data"))
	p, err := l.add(name+".yaml", config, addr, program, "serve", "-c", "FILE")
	if err != nil {
		return err
	}
	l.peers = append(l.peers, &peer{name, program + " " + firstLine(program, "version"), addr, map[string]string{"http": "http://" + addr}, p})
	return nil
}

// firstLine returns the first line that a program prints.
func firstLine(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
