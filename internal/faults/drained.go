// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// drained is F22: a node with streams and uploads is drained by command, with a deadline, taken back, and drained once more when nothing
// stays there.
var drained = &fault{
	id: "F22", title: "a node is drained, with 1,000 event streams and 100 uploads", nodes: 3, Etcd: true, alone: true, least: 9 * time.Second,
	inject: func(r *run) error {
		for r.wait(200*time.Millisecond, 400*time.Millisecond) && r.left(8*time.Second) {
			if err := r.drainOnce(r.any()); err != nil {
				return err
			}
		}
		return nil
	},
	judge: none,
}

// drainDeadline is longer than the uploads take, and shorter than the streams.
const drainDeadline = 4 * time.Second

// drainOnce drains a node with streams and uploads, and then without.
func (r *run) drainOnce(n *backend) error {
	streams, uploads := 200, 20
	if r.large {
		streams, uploads = 1000, 100
	}
	s, err := openStreams(r, streams, uploads)
	if err != nil {
		return err
	}
	defer s.close()
	r.breaks(n)
	defer r.mends()
	begun := time.Now()
	code, cut, err := r.drain(n, drainDeadline)
	if err != nil {
		return err
	}
	r.note(code != 1, "edge drain returned %d where streams were cut; want 1", code)
	there := s.await(n.name)
	r.note(there != cut, "edge drain says that %d were cut; the clients count %d", cut, there)
	r.note(there == 0, "no stream was at %s", n.name)
	early, elsewhere, failed := s.judge(n.name, begun.Add(drainDeadline))
	r.note(early > 0, "%d streams ended before the deadline", early)
	r.note(elsewhere > 0, "%d streams ended that were not at %s", elsewhere, n.name)
	r.note(failed > 0, "%d uploads failed", failed)
	if err := r.undrain(n); err != nil {
		return err
	}
	s.close()
	if code, cut, err = r.drain(n, time.Minute); err != nil {
		return err
	}
	r.note(code != 0 || cut != 0, "edge drain of a node without streams returned %d and cut %d; want 0 and 0", code, cut)
	return r.undrain(n)
}

// note notes what is wrong, if it is.
func (r *run) note(wrong bool, format string, args ...any) {
	if wrong {
		r.notes = append(r.notes, fmt.Sprintf(format, args...))
	}
}

// drain drains a node and returns the command's exit code and how many requests and streams it says were cut.
func (r *run) drain(n *backend, deadline time.Duration) (code, cut int, err error) {
	cmd := r.proxy.command("drain", "node/"+n.name, "--wait", "--deadline", deadline.String(), "-o", "json")
	var out, why bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &why
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("edge drain: %w", err)
	}
	var said struct {
		Progress struct {
			Cut int `json:"cut"`
		} `json:"progress"`
	}
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		return 0, 0, fmt.Errorf("edge drain printed no JSON: %w: %s%s", err, out.Bytes(), why.Bytes())
	}
	return code, said.Progress.Cut, nil
}

func (r *run) undrain(n *backend) error {
	if out, err := r.proxy.command("undrain", "node/"+n.name).CombinedOutput(); err != nil {
		return fmt.Errorf("edge undrain: %w: %s", err, out)
	}
	return nil
}

// streams are event streams and uploads under way.
type streams struct {
	conns   []*conn
	uploads sync.WaitGroup
	reading sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	events []*eventStream
	failed int // uploads
	closed bool
}

// eventStream is one, and when it ended. Zero: it goes on.
type eventStream struct {
	node  string
	ended time.Time
}
