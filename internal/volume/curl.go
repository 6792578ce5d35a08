// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// Curl returns a client of each way in which curl speaks: it must be installed.
func Curl(e Edge) []Client {
	clear, secure := "http://"+e.Clear, "https://"+e.Secure
	return []Client{
		curl("HTTP/1.1 (curl)", e.Name, clear, "--http1.1"), curl("HTTP/1.1, TLS (curl)", e.Name, secure, "--http1.1", "--insecure"),
		curl("HTTP/2 (curl)", e.Name, clear, "--http2-prior-knowledge"), curl("HTTP/2, TLS (curl)", e.Name, secure, "--http2", "--insecure"),
	}
}

// curl speaks to an address that it connects to whatever the URL's host says, so that the server's name is right.
func curl(name, host, root string, args ...string) Client {
	scheme, addr, _ := strings.Cut(root, "://")
	_, port, _ := strings.Cut(addr, ":")
	root = scheme + "://" + host + ":" + port
	args = append(args, "--silent", "--show-error", "--fail", "--no-buffer", "--noproxy", "*", "--connect-to", host+":"+port+":"+addr)
	command := func(ctx context.Context, more ...string) (*exec.Cmd, *bytes.Buffer) {
		var complaint bytes.Buffer
		cmd := exec.CommandContext(ctx, "curl", append(args[:len(args):len(args)], more...)...)
		cmd.Stderr = &complaint
		return cmd, &complaint
	}
	return Client{
		Name: name,
		Up: func(ctx context.Context, body io.Reader) (int64, error) {
			cmd, complaint := command(ctx, "--request", "POST", "--header", "Expect:", "--upload-file", "-", root+"/sink")
			cmd.Stdin = body
			out, err := cmd.Output()
			if err != nil {
				return 0, fmt.Errorf("curl: %w: %s", err, complaint)
			}
			return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		},
		Down: func(ctx context.Context, n int64) (io.ReadCloser, error) {
			cmd, complaint := command(ctx, root+"/source?bytes="+strconv.FormatInt(n, 10))
			out, err := cmd.StdoutPipe()
			if err != nil {
				return nil, err
			}
			if err := cmd.Start(); err != nil {
				return nil, err
			}
			return &process{cmd: cmd, out: out, complaint: complaint}, nil
		},
	}
}

// process is what a command prints. It must be closed.
type process struct {
	cmd       *exec.Cmd
	out       io.Reader
	complaint *bytes.Buffer
	ended     bool
}

// Read implements io.Reader. The end is io.EOF only where the command says that all went well.
func (p *process) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if err != io.EOF || p.ended {
		return n, err
	}
	p.ended = true
	if err := p.cmd.Wait(); err != nil {
		return n, fmt.Errorf("curl: %w: %s", err, p.complaint)
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (p *process) Close() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.cmd.Process.Kill()
	p.cmd.Wait()
	return nil
}
