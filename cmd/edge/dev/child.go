// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ExitWithParent is the flag that tells a child to end when descriptor 3, a pipe from its parent, is closed.
const ExitWithParent = "--exit-with-parent"

// spec is a program to run.
type spec struct {
	name string // as in `edge dev stop NAME`
	kind string // "etcd", "edge", "worker"
	path string
	args []string
	log  string // file for its output, written anew at each start
}

// child is one started process.
type child struct {
	spec
	cmd     *exec.Cmd
	pipe    *os.File // our end; closing it asks the child to end
	started time.Time
	done    chan struct{} // closed when the process is gone; state is set before
	state   *os.ProcessState
}

// start runs the program. It must be called from the goroutine that is locked to the supervisor's thread: on Linux a
// child is killed when the thread that started it ends.
func start(s spec) (*child, error) {
	if err := os.MkdirAll(filepath.Dir(s.log), 0o700); err != nil {
		return nil, err
	}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command(s.path, append(s.args, ExitWithParent)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	return &child{spec: s, cmd: cmd, pipe: w, started: time.Now(), done: make(chan struct{})}, nil
}

// wait collects the process; the caller runs it in a goroutine of its own.
func (c *child) wait() {
	c.cmd.Wait()
	c.state = c.cmd.ProcessState
	c.pipe.Close()
	close(c.done)
}

// end asks the process to end, waits, and kills it when it has not ended after the patience. It reports whether it had
// to be killed. The error is ctx's, where that ends first.
func (c *child) end(ctx context.Context, patience time.Duration) (killed bool, err error) {
	c.cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-c.done:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-t.C:
	}
	c.cmd.Process.Kill()
	<-c.done
	return true, nil
}

// lastWords returns the last line that the process has written, for a message of one line.
func (c *child) lastWords() string {
	f, err := os.Open(c.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	const tail = 4096
	if st, err := f.Stat(); err == nil && st.Size() > tail {
		f.Seek(-tail, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, tail))
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
