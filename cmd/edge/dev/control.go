// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Process is one line of `edge dev ps`.
type Process struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	PID     int       `json:"pid,omitempty"` // 0: not running
	Started time.Time `json:"started,omitzero"`
	Log     string    `json:"log"`
}

// control is the loopback listener through which `edge dev stop`, `start` and `ps` reach the supervisor. The token, in a
// file that only its user can read, keeps other users and browsers out.
type control struct {
	s     *Supervisor
	ln    net.Listener
	token string
}

func newControl(s *Supervisor) (*control, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &control{s, ln, rand.Text()}, nil
}

// controlGrace is how long those who are being answered may take when everything ends.
const controlGrace = time.Second

// run serves until ctx ends.
func (c *control) run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ps", c.ps)
	mux.HandleFunc("POST /stop/{name}", c.stop)
	mux.HandleFunc("POST /start/{name}", c.start)
	srv := &http.Server{
		Handler: c.authenticated(mux), ReadTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // so that a start or a stop under way ends with ctx
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(c.ln) }()
	select {
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlGrace)
		defer cancel()
		if srv.Shutdown(end) != nil {
			srv.Close()
		}
		<-served
		return nil
	case err := <-served:
		return err
	}
}

func (c *control) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.token)) != 1 {
			http.Error(w, "the token is wrong", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *control) ps(w http.ResponseWriter, _ *http.Request) {
	c.s.mu.Lock()
	var out []Process
	for _, sp := range c.s.specs {
		p := Process{Name: sp.name, Kind: sp.kind, Log: sp.log}
		if ch := c.s.children[sp.name]; ch != nil {
			p.PID, p.Started = ch.cmd.Process.Pid, ch.started
		}
		out = append(out, p)
	}
	c.s.mu.Unlock()
	json.NewEncoder(w).Encode(out)
}

func (c *control) stop(w http.ResponseWriter, r *http.Request) {
	if err := c.s.stop(r.Context(), r.PathValue("name"), endPatience); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func (c *control) start(w http.ResponseWriter, r *http.Request) {
	if err := c.s.restart(r.Context(), r.PathValue("name")); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// Processes lists the processes of a running `edge dev`.
func (r *Running) Processes(ctx context.Context) ([]Process, error) {
	var out []Process
	return out, r.call(ctx, http.MethodGet, "/ps", &out)
}

// Stop ends a process and waits until it is gone.
func (r *Running) Stop(ctx context.Context, name string) error {
	return r.call(ctx, http.MethodPost, "/stop/"+url.PathEscape(name), nil)
}

// Start brings a process back and waits until it is ready.
func (r *Running) Start(ctx context.Context, name string) error {
	return r.call(ctx, http.MethodPost, "/start/"+url.PathEscape(name), nil)
}

func (r *Running) call(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.Control+path, nil)
	if err != nil {
		return fmt.Errorf("%q is not the name of a process; edge dev ps lists them", path)
	}
	req.Header.Set("Authorization", "Bearer "+r.Token)
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("ended before the running edge dev (pid %d) has answered: %w", r.PID, ctx.Err())
	case err != nil:
		return fmt.Errorf("the running edge dev (pid %d) does not answer: %w", r.PID, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusConflict || resp.StatusCode == http.StatusForbidden:
		return errors.New(string(bytes.TrimSpace(body)))
	case resp.StatusCode != http.StatusOK: // a name that is no path, as ".."
		return fmt.Errorf("the running edge dev (pid %d) answered %s; edge dev ps lists the names", r.PID, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
