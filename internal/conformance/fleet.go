// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Ours. A fleet starts within seconds; its own graceful end is bounded by 30 s.
const (
	startTimeout = time.Minute
	endTimeout   = 40 * time.Second
)

// child is a program that was started here.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended; err is set before
	err   error

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

// Write implements io.Writer: the program's output, of which the first 64 KiB are kept.
func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if room := 64<<10 - c.out.Len(); room > 0 {
		c.out.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (c *child) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tail(c.out.Bytes())
}

func startChild(program string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = c, c
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// end asks the program to end, and kills it if it does not.
func (c *child) end() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.ended:
	case <-time.After(endTimeout):
		_ = c.cmd.Process.Kill()
		<-c.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", c.cmd.Path, endTimeout)
	}
	if c.err != nil {
		return fmt.Errorf("%s ended badly: %w: %s", c.cmd.Path, c.err, c.output())
	}
	return nil
}

// nothing ends what was not started here.
func nothing() error { return nil }

// direct returns the URL of one worker, which it starts unless it was given.
func (o options) direct(ctx context.Context) (url string, end func() error, err error) {
	if o.directURL != "" {
		return o.directURL, nothing, nil
	}
	c, err := startChild(o.backend, "serve", "--name", "direct", "--toolset", "conformance", "--log-level", "warn")
	if err != nil {
		return "", nil, err
	}
	err = c.until(ctx, "says where it listens", func() bool { url = listening(c.output()); return url != "" })
	if err == nil {
		err = c.until(ctx, "answers at "+url, func() bool { return answers(ctx, url) })
	}
	if err != nil {
		return "", nil, errors.Join(err, c.end())
	}
	return url, c.end, nil
}

// listening finds the line that a worker prints, and turns its address into the name that the suite wants: its check of
// DNS rebinding asks for localhost.
func listening(output string) string {
	s := bufio.NewScanner(strings.NewReader(output))
	for s.Scan() {
		if url, ok := strings.CutPrefix(s.Text(), "listening http://127.0.0.1:"); ok {
			return "http://localhost:" + url
		}
	}
	return ""
}

// fleet returns the URL of an edge with two workers, which it starts unless it was given.
func (o options) fleet(ctx context.Context) (url string, end func() error, err error) {
	if o.url != "" {
		return o.url, nothing, nil
	}
	ports, err := freePorts(4)
	if err != nil {
		return "", nil, err
	}
	data, err := os.MkdirTemp("", "meridian-conformance-")
	if err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	c, err := startChild(o.edge, "dev", "--regions", "us-east-1", "--workers", "2", "--toolset", "conformance", "--data-dir", filepath.Join(data, "dev"),
		"--http-port", ports[0], "--dns-port", ports[1], "--admin-port", ports[2], "--etcd-port", ports[3])
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(data))
	}
	end = func() error { return errors.Join(c.end(), os.RemoveAll(data)) }
	url = "http://localhost:" + ports[0] + "/mcp"
	if err := c.until(ctx, "answers at "+url, func() bool { return answers(ctx, url) }); err != nil {
		return "", nil, errors.Join(err, end())
	}
	return url, end, nil
}

// freePorts returns ports that were free on loopback a moment ago, for TCP and UDP, each with the next one free too,
// since etcd takes two.
func freePorts(n int) ([]string, error) {
	var ports []string
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all are held until all are found, so that none is found twice
		port := l.Addr().(*net.TCPAddr).Port
		u, errUDP := net.ListenPacket("udp", l.Addr().String())
		next, errNext := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		if errUDP == nil {
			u.Close()
		}
		if errNext == nil {
			defer next.Close()
		}
		if errUDP == nil && errNext == nil {
			ports = append(ports, strconv.Itoa(port))
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("found only %d of %d free ports", len(ports), n)
	}
	return ports, nil
}

// until waits for a condition, as long as the program runs.
func (c *child) until(ctx context.Context, what string, ok func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(startTimeout)
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ended:
			return fmt.Errorf("%s ended before it %s: %s", c.cmd.Path, what, c.output())
		case <-deadline:
			return fmt.Errorf("%s never %s within %s: %s", c.cmd.Path, what, startTimeout, c.output())
		}
	}
	return nil
}

// discover asks a worker who it is, in the modern era, which leaves no session behind.
const discover = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
	`"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"meridian-conformance","version":"1"}}}}`

// answers reports whether MCP is served at the URL.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(discover))
	if err != nil {
		return false
	}
	for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"} {
		req.Header.Set(k, v)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return err == nil && res.StatusCode == http.StatusOK
}
