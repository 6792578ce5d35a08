// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that the harness has started and will end.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu    sync.Mutex // guards the fields below
	lines []line
	fresh chan struct{} // closed when there is another line
}

// line is one of what a program printed, and when.
type line struct {
	at   time.Time
	text string
}

// launch starts a program. What it prints is kept.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{}), fresh: make(chan struct{})}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 2 * time.Second // a child of its own may hold the pipe
	orphansDie(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(r) })
	go func() {
		cmd.Wait()
		w.Close()
		reading.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, line{time.Now(), s.Text()})
		close(p.fresh)
		p.fresh = make(chan struct{})
		p.mu.Unlock()
	}
	io.Copy(io.Discard, r)
}

// printed returns the lines from number n on, and what is closed when there is another.
func (p *process) printed(n int) ([]line, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[min(n, len(p.lines)):], p.fresh
}

// awaited bounds what the harness waits for.
const awaited = 30 * time.Second

// await waits for a line that is wanted, from number n on, and returns its number.
func (p *process) await(n int, wanted func(string) bool) (int, error) {
	late := time.After(awaited)
	for {
		lines, fresh := p.printed(n)
		for _, l := range lines {
			if wanted(l.text) {
				return n, nil
			}
			n++
		}
		select {
		case <-fresh:
		case <-p.ended:
			if lines, _ := p.printed(n); len(lines) == 0 {
				return n, fmt.Errorf("%s has ended: %s", p.cmd.Path, p.tail())
			}
		case <-late:
			return n, fmt.Errorf("%s did not say what was expected: %s", p.cmd.Path, p.tail())
		}
	}
}

// tail returns the last that the program printed.
func (p *process) tail() string {
	lines, _ := p.printed(0)
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-20):] {
		b.WriteString("\n  " + l.text)
	}
	return b.String()
}

// signal sends the program a signal.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.cmd.Path, err)
	}
	return nil
}

// end ends the program: as it wishes, or after a while by force.
func (p *process) end(gently syscall.Signal) {
	p.cmd.Process.Signal(syscall.SIGCONT)
	p.cmd.Process.Signal(gently)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}
