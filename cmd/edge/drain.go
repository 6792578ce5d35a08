// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"meridian/topology"
	"meridian/topology/etcd"
)

type drainFlags struct {
	wait     bool
	deadline time.Duration
	reason   string
}

func drainCommand(o *options) *cobra.Command {
	var f drainFlags
	c := &cobra.Command{
		Use:   "drain node/NAME",
		Short: "Send a node no new session and no sessionless request; what is bound to it goes on",
		Long: "drain asks every edge to send the node no new session and no sessionless request. Bound sessions go on.\n\n" +
			"With --wait it returns 0 when every live edge has acknowledged that nothing is in flight and no stream is open;\n" +
			"idle sessions are counted and don't hold it. At the deadline edges cut what is left; then it returns 1.\n" +
			"Without --deadline nothing is ever cut. edge undrain takes it back.",
		Example: "  edge drain node/mcp-us-east-1-1 --wait --deadline 1m --reason 'kernel upgrade'",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.drain(c, args[0], f) },
	}
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until nothing is in flight there and no stream is open")
	c.Flags().DurationVar(&f.deadline, "deadline", 0, "`TIME` after which edges cut what is left (default never)")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for other operators")
	return c
}

// drained is what drain prints at its end.
type drained struct {
	Node     topology.NodeID   `json:"node"`
	Revision topology.Revision `json:"revision"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Waited   bool              `json:"waited"`
	Progress *drainProgress    `json:"progress,omitempty"`
}

// drainProgress is the sum over the live edges.
type drainProgress struct {
	Edges    int      `json:"edges"`
	Waiting  []string `json:"waiting,omitempty"` // edges that have something left there, or did not say
	Silent   []string `json:"silent,omitempty"`  // those of them that did not say
	InFlight int      `json:"in_flight"`
	Streams  int      `json:"streams"`
	Sessions int      `json:"sessions"`
	Cut      int      `json:"cut"`
	CutBy    int      `json:"cut_by"` // edges that cut something

	fault error
}

func sumUp(p etcd.DrainProgress) *drainProgress {
	d := &drainProgress{Edges: len(p.Edges), InFlight: p.InFlight, Streams: p.Streams, Sessions: p.Sessions, Cut: p.Cut, fault: p.Fault}
	for _, e := range p.Edges {
		if e.Ack != nil && e.Ack.Cut > 0 {
			d.CutBy++
		}
		if !e.Done() {
			d.Waiting = append(d.Waiting, string(e.Edge))
		}
		if e.Ack == nil {
			d.Silent = append(d.Silent, string(e.Edge))
		}
	}
	return d
}

func (o *options) drain(c *cobra.Command, target string, f drainFlags) error {
	d := &topology.Drain{Name: target, Author: author(), Reason: f.reason, Created: time.Now().UTC().Truncate(time.Millisecond)}
	if f.deadline < 0 {
		return misusef("--deadline %s is in the past", f.deadline)
	}
	if f.deadline > 0 {
		d.Deadline = d.Created.Add(f.deadline)
	}
	if m := topology.Check(d); len(m) > 0 {
		return misusef("%s: %s", m[0].Field, m[0].Message)
	}
	client, err := o.etcdClient()
	if err != nil {
		return err
	}
	defer client.Close()
	rev, err := writeDrain(c.Context(), client, d)
	if err != nil {
		return err
	}
	out := drained{Node: d.Node(), Revision: rev, Deadline: d.Deadline, Waited: f.wait}
	if !f.wait {
		return o.print(c.OutOrStdout(), out, func(p *printer) {
			p.line(fmt.Sprintf("%s is draining (revision %d); edge drain %s --wait waits for it, edge undrain %s takes it back", target, rev, target, target))
		})
	}
	p, err := waitDrained(c.Context(), client, d, rev, func(s string) { fmt.Fprintln(c.ErrOrStderr(), s) })
	if err != nil {
		return err
	}
	out.Progress = p
	if err := o.print(c.OutOrStdout(), out, func(pr *printer) { pr.line(drainSentence(target, p)) }); err != nil {
		return err
	}
	if p.Cut > 0 {
		return errSilent
	}
	return nil
}

// cutMargin is how long after the deadline the edges may take to cut what is left and say so.
const cutMargin = 10 * time.Second

// waitDrained returns when all live edges have nothing in flight at the node, or have cut what was left.
func waitDrained(ctx context.Context, client *etcd.Client, d *topology.Drain, rev topology.Revision, progress func(string)) (*drainProgress, error) {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if !d.Deadline.IsZero() {
		bounded, cancel = context.WithDeadline(ctx, d.Deadline.Add(cutMargin))
	}
	defer cancel()
	p, err := client.WaitDrained(bounded, d.Node(), rev, func(p etcd.DrainProgress) { progress(waitingFor(d.Name, sumUp(p))) })
	sum := sumUp(p)
	switch {
	case err == nil:
		return sum, nil
	case errors.Is(err, etcd.ErrTakenBack):
		return nil, fmt.Errorf("%s is not draining any more: the drain was taken back while this command waited", d.Name)
	case sum.fault != nil:
		return nil, fmt.Errorf("%s is draining, but how far can't be seen: %w", d.Name, sum.fault)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ended before %s was drained; it is still draining: edge undrain %s takes it back", d.Name, d.Name)
	case len(sum.Waiting) == 0:
		return nil, fmt.Errorf("the deadline has passed: %w", err)
	}
	return nil, fmt.Errorf("the deadline has passed and %s did not acknowledge that; edge status shows how they stand", strings.Join(sum.Waiting, ", "))
}

// writeDrain writes the drain of a node that exists.
func writeDrain(ctx context.Context, client *etcd.Client, d *topology.Drain) (topology.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	set, _, err := client.Read(ctx)
	if err != nil {
		return 0, err
	}
	if _, ok := set[topology.Key{Kind: topology.KindNode, Name: string(d.Node())}]; !ok {
		return 0, fmt.Errorf("there is no node %q; edge get nodes lists them", d.Node())
	}
	res, err := client.Apply(ctx, etcd.Change{Put: []topology.Resource{d}, Author: d.Author})
	return res.Revision, err
}

func drainSentence(target string, p *drainProgress) string {
	switch {
	case p.Cut > 0:
		return fmt.Sprintf("%s: the deadline has passed; %d requests and streams were cut by %s", target, p.Cut, count(p.CutBy, "edge"))
	case p.Edges == 0:
		return target + " is drained: no edge is running"
	}
	return fmt.Sprintf("%s is drained: %s with nothing in flight there; %d idle sessions are left", target, count(p.Edges, "live edge"), p.Sessions)
}

// count writes "1 edge" or "3 edges".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func waitingFor(target string, p *drainProgress) string {
	if p.fault != nil {
		return fmt.Sprintf("%s: etcd does not answer; the drain goes on, and so does the wait", target)
	}
	if len(p.Silent) > 0 {
		return fmt.Sprintf("%s: waiting for %s to acknowledge", target, strings.Join(p.Silent, ", "))
	}
	return fmt.Sprintf("%s: %d requests in flight, %d streams open, %d sessions bound", target, p.InFlight, p.Streams, p.Sessions)
}

func undrainCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "undrain node/NAME",
		Short:   "Take a drain back: the node gets new sessions and requests again",
		Example: "  edge undrain node/mcp-us-east-1-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if m := topology.Check(&topology.Drain{Name: args[0]}); len(m) > 0 {
				return misusef("%s: %s", m[0].Field, m[0].Message)
			}
			client, err := o.etcdClient()
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			res, err := client.Apply(ctx, etcd.Change{Delete: []topology.Key{{Kind: topology.KindDrain, Name: args[0]}}, Author: author()})
			if err != nil {
				return err
			}
			out := struct {
				Name     string            `json:"name"`
				Was      bool              `json:"was_draining"`
				Revision topology.Revision `json:"revision"`
			}{args[0], len(res.Deleted) > 0, res.Revision}
			return o.print(c.OutOrStdout(), out, func(p *printer) {
				if out.Was {
					p.line(fmt.Sprintf("%s takes new sessions and requests again (revision %d)", args[0], out.Revision))
				} else {
					p.line(args[0] + " was not draining")
				}
			})
		},
	}
}
