// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"meridian/topology"
	"meridian/topology/etcd"
)

// drainProgress is how far a drain is, for people and programs: the sum over the edges that are waited for.
type drainProgress struct {
	Edges       int      `json:"edges"`                 // with a lease
	Waiting     []string `json:"waiting,omitempty"`     // edges that have something left there, or did not say
	Silent      []string `json:"silent,omitempty"`      // those of them that run and did not say
	Unknown     []string `json:"unknown,omitempty"`     // those of them that ended without a goodbye: they may still serve
	Ignored     []string `json:"ignored,omitempty"`     // edges that are not waited for
	Nodes       []string `json:"nodes,omitempty"`       // nodes that say that they still have requests
	InFlight    int      `json:"in_flight"`             // requests
	Streams     int      `json:"streams"`               //
	Sessions    int      `json:"sessions"`              // bound, idle ones included
	Connections int      `json:"connections,omitempty"` // of clients to edges that are drained, idle ones included
	DNSLeft     int      `json:"dns_left,omitempty"`    // seconds until no resolver has an answer that leads there
	Cut         int      `json:"cut"`                   // requests and streams that were cut at the deadline
	CutBy       int      `json:"cut_by"`                // edges that cut something

	fault    error
	complete bool
	over     bool // the deadline has passed
	of       *topology.Drain
}

func sumUp(p etcd.DrainProgress) *drainProgress {
	d := &drainProgress{
		InFlight: p.InFlight, Streams: p.Streams, Sessions: p.Sessions, Connections: p.Connections, DNSLeft: p.DNSLeft, Cut: p.Cut,
		fault: p.Fault, complete: p.Complete() && p.Fault == nil, of: p.Drain,
	}
	d.over = p.Drain != nil && !p.Drain.Deadline.IsZero() && !time.Now().Before(p.Drain.Deadline)
	for _, e := range p.Edges {
		name := string(e.Edge)
		if e.Live {
			d.Edges++
		}
		if e.Ignored {
			d.Ignored = append(d.Ignored, name)
			continue
		}
		if e.Ack != nil && e.Ack.Cut > 0 {
			d.CutBy++
		}
		if e.Done() {
			continue
		}
		d.Waiting = append(d.Waiting, name)
		switch {
		case !e.Live:
			d.Unknown = append(d.Unknown, name)
		case e.Ack == nil:
			d.Silent = append(d.Silent, name)
		}
	}
	for _, n := range p.Nodes {
		d.Nodes = append(d.Nodes, string(n.Node))
		d.InFlight += n.InFlight
	}
	return d
}

// left is how much there is to wait for, for a bar.
func (p *drainProgress) left() int { return p.InFlight + p.Streams + p.DNSLeft + len(p.Waiting) }

// drainSentence sums a wait up.
func drainSentence(target string, p *drainProgress) string {
	var ignored string
	if len(p.Ignored) > 0 {
		ignored = "; not waited for: " + strings.Join(p.Ignored, ", ")
	}
	switch {
	case p.complete && p.Edges == 0:
		return target + " is drained: no edge is running" + ignored
	case p.complete:
		s := fmt.Sprintf("%s is drained: %s with nothing in flight there; %d idle sessions are left", target, count(p.Edges, "live edge"), p.Sessions)
		if p.Connections > 0 {
			s += fmt.Sprintf(", and %d idle connections", p.Connections)
		}
		return s + ignored
	}
	parts := []string{fmt.Sprintf("%d requests and streams were cut by %s", p.Cut, count(p.CutBy, "edge"))}
	if len(p.Unknown) > 0 {
		parts = append(parts, fmt.Sprintf("%s ended without a goodbye and may still serve", strings.Join(p.Unknown, ", ")))
	}
	if live := without(p.Waiting, p.Unknown); len(live) > 0 {
		parts = append(parts, fmt.Sprintf("%s did not say that it has cut the rest", strings.Join(live, ", ")))
	}
	if p.DNSLeft > 0 {
		parts = append(parts, fmt.Sprintf("resolvers may send clients there for %d s more", p.DNSLeft))
	}
	if len(p.Nodes) > 0 {
		parts = append(parts, fmt.Sprintf("%s still had requests", strings.Join(p.Nodes, ", ")))
	}
	return target + ": the deadline has passed; " + strings.Join(parts, "; ") + ignored
}

func without(list, less []string) (out []string) {
	for _, l := range list {
		if !slices.Contains(less, l) {
			out = append(out, l)
		}
	}
	return out
}

// count writes "1 edge" or "3 edges".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// waitingFor says what a wait is for at the moment.
func waitingFor(p *drainProgress) string {
	if p.fault != nil {
		return "etcd does not answer; the drain goes on, and so does the wait"
	}
	parts := []string{fmt.Sprintf("%d requests in flight, %d streams open, %d sessions bound", p.InFlight, p.Streams, p.Sessions)}
	if len(p.Silent) > 0 {
		parts = []string{fmt.Sprintf("waiting for %s to acknowledge", strings.Join(p.Silent, ", "))}
	}
	if p.DNSLeft > 0 {
		parts = append(parts, fmt.Sprintf("%d s until resolvers have forgotten it", p.DNSLeft))
	}
	if len(p.Unknown) > 0 {
		parts = append(parts, fmt.Sprintf("%s ended without a goodbye and may still serve (--ignore edge/%s)", strings.Join(p.Unknown, ", "), p.Unknown[0]))
	}
	if len(p.Nodes) > 0 {
		parts = append(parts, fmt.Sprintf("%s says that it still has requests", strings.Join(p.Nodes, ", ")))
	}
	return strings.Join(parts, "; ")
}

// drainView shows the progress of a wait.
type drainView interface {
	show(*drainProgress)
	end()
}

// lineView writes a line for each change.
type lineView struct {
	w    io.Writer
	name string
	last string
}

func (v *lineView) show(p *drainProgress) {
	if s := waitingFor(p); s != v.last {
		v.last = s
		fmt.Fprintln(v.w, v.name+": "+s)
	}
}

func (v *lineView) end() {}

// jsonView writes one object a line.
type jsonView struct{ w io.Writer }

func (v *jsonView) show(p *drainProgress) {
	line := struct {
		*drainProgress
		Fault string `json:"fault,omitempty"`
	}{drainProgress: p}
	if p.fault != nil {
		line.Fault = oneLine(p.fault.Error())
	}
	json.NewEncoder(v.w).Encode(line) // a terminal that is gone is no reason to stop waiting
}

func (v *jsonView) end() {}

// barView draws a bar and draws over it.
type barView struct {
	w     io.Writer
	name  string
	most  int // that was left at any time
	drawn bool
}

const barCells = 24

func (v *barView) show(p *drainProgress) {
	left := p.left()
	v.most = max(v.most, left)
	part := 1.0
	if v.most > 0 {
		part = 1 - float64(left)/float64(v.most)
	}
	full := int(part * barCells)
	v.drawn = true
	// Erased to its end, and without wrapping, so that each takes the place of the last.
	fmt.Fprintf(v.w, "\r\x1b[2K\x1b[?7l%s [%s%s] %3.0f%%  %s\x1b[?7h", v.name, strings.Repeat("=", full), strings.Repeat(" ", barCells-full), 100*part, waitingFor(p))
}

func (v *barView) end() {
	if v.drawn {
		fmt.Fprintln(v.w)
	}
}

// isTerminal reports whether people read w as it is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
