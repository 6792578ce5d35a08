// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	ignore   []string
}

const drainLong = `drain asks every edge to send no new work to a target. What it means depends on the target:

  node/NAME          no new session and no sessionless request; sessions that are bound to it go on
  zone/REGION/ZONE   the same for each node of the zone; zone/ZONE is enough where one region only has a zone of that name
  region/NAME        DNS answers other regions at once, and edges send no new work there as long as another region's nodes can
                     take it; the region's edges serve whoever still comes
  edge/NAME          DNS answers without its addresses and its readiness turns false; it serves whoever still comes

A target that is draining already stays so: what is not given anew, deadline and reason, is kept. So a --wait that was
interrupted, which never ends the drain, is taken up again by the same command.

With --wait it returns 0 when every edge has acknowledged that nothing is in flight there and no stream is open, the nodes
that report their load say the same, and, for regions and edges, the answers that DNS has given have run out in all
resolvers. Idle sessions and connections are counted and don't hold it. An edge that has ended without a goodbye may still
serve: it is named and waited for, until the deadline or with --ignore; edge forget removes one that won't come back.

At the deadline edges cut what is left: requests that have no answer yet get 503, WebSockets a close frame with 1001, streams
of events a last event named "drain"; an edge or region that is drained also ends its clients' connections (Connection:
close, GOAWAY). Then it returns 1 and says how much that was. Without --deadline nothing is ever cut. edge undrain takes it
back, edge drains lists all.`

func drainCommand(o *options) *cobra.Command {
	var f drainFlags
	c := &cobra.Command{
		Use:   "drain TARGET",
		Short: "Send no new work to a node, a zone or a region, or clients away from an edge",
		Long:  drainLong,
		Example: "  edge drain node/mcp-us-east-1-1 --wait --deadline 1m --reason 'kernel upgrade'\n" +
			"  edge drain zone/us-east-1/us-east-1a\n  edge drain region/us-east-1 --wait\n  edge drain edge/edge-us-east-1 --wait --ignore edge/edge-eu-central-1",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.drain(c, args[0], f) },
	}
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until nothing is left there")
	c.Flags().DurationVar(&f.deadline, "deadline", 0, "`TIME` from now after which edges cut what is left (default never)")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for other operators")
	c.Flags().StringArrayVar(&f.ignore, "ignore", nil, "with --wait: don't wait for `edge/NAME`; repeatable")
	return c
}

// drained is what drain prints at its end.
type drained struct {
	Name     string            `json:"name"`
	Revision topology.Revision `json:"revision"`
	Author   string            `json:"author,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Deadline time.Time         `json:"deadline,omitzero"`
	Was      bool              `json:"was_draining"`
	Waited   bool              `json:"waited"`
	Complete bool              `json:"complete"` // waited, and nothing is left and nothing was cut
	Progress *drainProgress    `json:"progress,omitempty"`
}

func (o *options) drain(c *cobra.Command, name string, f drainFlags) error {
	ignore, err := f.check(c.Flags().Changed("deadline"))
	if err == nil {
		err = checkTarget(name)
	}
	if err != nil {
		return err
	}
	client, err := o.etcdClient()
	if err != nil {
		return err
	}
	defer client.Close()
	out, notes, err := writeDrain(c, client, name, f)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(c.ErrOrStderr(), "note: "+n)
	}
	if !f.wait {
		return o.print(c.OutOrStdout(), out, func(p *printer) { p.line(drainingSentence(out)) })
	}
	out.Waited = true
	p, err := o.waitDrained(c, client, out.Name, ignore)
	if err != nil {
		return err
	}
	out.Progress, out.Complete = p, p.complete
	if p.of != nil {
		out.Deadline = p.of.Deadline
	}
	if err := o.print(c.OutOrStdout(), out, func(pr *printer) { pr.line(drainSentence(out.Name, p)) }); err != nil {
		return err
	}
	if !p.complete {
		return errSilent
	}
	return nil
}

// check refuses flags that make no sense.
func (f drainFlags) check(withDeadline bool) (ignore []topology.EdgeID, err error) {
	if f.deadline < 0 {
		return nil, misusef("--deadline %s is in the past", f.deadline)
	}
	if withDeadline && f.deadline == 0 { // who means "at once" must not get "never"
		return nil, misusef("--deadline 0s is no time: 1s cuts what is left almost at once, and without --deadline nothing is cut")
	}
	if len(f.ignore) > 0 && !f.wait {
		return nil, misusef("--ignore is of no use without --wait")
	}
	for _, name := range f.ignore {
		t, ok := topology.ParseDrainTarget(name)
		if !ok || t.Scope != topology.ScopeEdge {
			return nil, misusef("--ignore %q is not an edge; want edge/NAME", name)
		}
		ignore = append(ignore, t.Edge)
	}
	return ignore, nil
}

// writeDrain writes the drain, or keeps the one there is as far as nothing new is asked of it.
func writeDrain(c *cobra.Command, client *etcd.Client, name string, f drainFlags) (out drained, notes []string, err error) {
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	set, rev, err := client.Read(ctx)
	if err != nil {
		return out, nil, err
	}
	target, err := findTarget(ctx, client, set, name)
	if err != nil {
		return out, nil, err
	}
	d := &topology.Drain{Name: target, Author: author(), Reason: f.reason, Created: time.Now().UTC().Truncate(time.Millisecond)}
	old, was := set[d.Key()].(*topology.Drain)
	if was {
		kept := *old
		d = &kept
	}
	if f.deadline > 0 {
		d.Deadline = time.Now().UTC().Truncate(time.Millisecond).Add(f.deadline)
	}
	if was && (f.deadline > 0 || c.Flags().Changed("reason")) {
		d.Author = author() // of what it is now
	}
	if c.Flags().Changed("reason") {
		d.Reason = f.reason
	}
	if m := topology.Check(d); len(m) > 0 {
		return out, nil, misusef("%s: %s", m[0].Field, m[0].Message)
	}
	if !was || *d != *old {
		res, err := client.Apply(ctx, etcd.Change{Put: []topology.Resource{d}, Author: author()})
		if err != nil {
			return out, nil, err
		}
		rev = res.Revision
	}
	if !was {
		notes = whatIsLeft(set, d)
	}
	return drained{Name: d.Name, Revision: rev, Author: d.Author, Reason: d.Reason, Deadline: d.Deadline, Was: was}, notes, nil
}

// checkTarget refuses what can't be a target; the region of a zone may be missing.
func checkTarget(name string) error {
	if zone, ok := strings.CutPrefix(name, string(topology.ScopeZone)+"/"); ok && !strings.Contains(zone, "/") {
		name = string(topology.ScopeZone) + "/any/" + zone
	}
	if m := topology.Check(&topology.Drain{Name: name}); len(m) > 0 {
		return misusef("%s: %s", m[0].Field, m[0].Message)
	}
	return nil
}

// drainTarget reads what an operator writes as a target, and completes a zone that is named without its region.
func drainTarget(set topology.Set, name string) (string, error) {
	zone, ok := strings.CutPrefix(name, string(topology.ScopeZone)+"/")
	if ok && !strings.Contains(zone, "/") {
		var in []string
		for _, r := range set.Sorted() {
			if n, ok := r.(*topology.Node); ok && n.Zone == zone {
				if at := string(topology.ScopeZone) + "/" + string(n.Region) + "/" + zone; !slices.Contains(in, at) {
					in = append(in, at)
				}
			}
		}
		switch len(in) {
		case 0:
			return "", fmt.Errorf("there is no zone %q with a node; edge get nodes lists them", zone)
		case 1:
			return in[0], nil
		}
		return "", misusef("several regions have a zone %q: say %s", zone, strings.Join(in, " or "))
	}
	return name, nil
}

// findTarget returns the name of a drain whose target exists.
func findTarget(ctx context.Context, client *etcd.Client, set topology.Set, name string) (string, error) {
	name, err := drainTarget(set, name)
	if err != nil {
		return "", err
	}
	t, _ := topology.ParseDrainTarget(name)
	if _, draining := set[topology.Key{Kind: topology.KindDrain, Name: name}]; draining || targetExists(set, t) {
		return name, nil
	}
	switch t.Scope {
	case topology.ScopeNode:
		return "", fmt.Errorf("there is no node %q; edge get nodes lists them", t.Node)
	case topology.ScopeZone:
		return "", fmt.Errorf("region %q has no node in a zone %q; edge get nodes lists them", t.Region, t.Zone)
	case topology.ScopeRegion:
		return "", fmt.Errorf("there is no region %q; edge get regions lists them", t.Region)
	}
	_, unknown, err := client.Edges(ctx)
	if err != nil {
		return "", err
	}
	if slices.Contains(unknown, t.Edge) { // it may still serve
		return name, nil
	}
	return "", fmt.Errorf("there is no edge %q; edge get edges lists them", t.Edge)
}

func targetExists(set topology.Set, t topology.DrainTarget) bool {
	switch t.Scope {
	case topology.ScopeRegion:
		return set[topology.Key{Kind: topology.KindRegion, Name: string(t.Region)}] != nil
	case topology.ScopeEdge:
		return set[topology.Key{Kind: topology.KindEdge, Name: string(t.Edge)}] != nil
	}
	for _, r := range set {
		if n, ok := r.(*topology.Node); ok && t.Covers(n) {
			return true
		}
	}
	return false
}

// whatIsLeft warns of what nobody serves once d holds. It is the operator's to decide: a drain is never refused.
func whatIsLeft(set topology.Set, d *topology.Drain) (notes []string) {
	after := topology.Set{}
	for k, r := range set {
		after[k] = r
	}
	after.Put(d)
	was, _ := topology.Build(1, set)
	is, _ := topology.Build(1, after)
	for _, p := range is.Pools {
		had, has := takesWork(was, p.Name), takesWork(is, p.Name)
		switch {
		case had == 0 || has > 0:
		case d.Target().Scope == topology.ScopeRegion && !d.Deadline.IsZero():
			notes = append(notes, fmt.Sprintf("no other region has a node of pool %s: the nodes of %s go on taking its work until the deadline, and then edges answer 503", p.Name, d.Name))
		case d.Target().Scope == topology.ScopeRegion:
			notes = append(notes, fmt.Sprintf("no other region has a node of pool %s: the nodes of %s go on taking its work", p.Name, d.Name))
		default:
			notes = append(notes, fmt.Sprintf("this leaves pool %s no node that takes new work: edges answer 503", p.Name))
		}
	}
	if s := d.Target().Scope; (s == topology.ScopeRegion || s == topology.ScopeEdge) && len(was.Names) > 0 && answerable(is) == 0 {
		notes = append(notes, "this leaves DNS no edge that is not drained: it goes on answering with those that are, as if they were not")
	}
	return notes
}

func takesWork(s *topology.Snapshot, p topology.PoolID) (n int) {
	for _, node := range s.NodesOf(p) {
		if !node.Leaving && s.DrainOf(node.Name) == nil {
			n++
		}
	}
	return n
}

func answerable(s *topology.Snapshot) (n int) {
	for _, e := range s.Edges {
		if !e.Leaving && s.DrainOfEdge(e.Name) == nil && s.DrainOfRegion(e.Region) == nil {
			n++
		}
	}
	return n
}

func drainingSentence(d drained) string {
	state := "is draining"
	if d.Was {
		state = "was draining already, and is"
	}
	return fmt.Sprintf("%s %s (revision %d); edge drain %s --wait waits for it, edge undrain %s takes it back", d.Name, state, d.Revision, d.Name, d.Name)
}

// waitDrained waits with the progress shown on stderr: as a bar on a terminal, as lines elsewhere, which are JSON with -o json.
func (o *options) waitDrained(c *cobra.Command, client *etcd.Client, name string, ignore []topology.EdgeID) (*drainProgress, error) {
	show := o.drainView(c.ErrOrStderr(), name)
	p, err := client.WaitDrained(c.Context(), name, ignore, func(p etcd.DrainProgress) { show.show(sumUp(p)) })
	show.end()
	again := fmt.Sprintf("it is still draining: edge drain %s --wait goes on waiting, edge undrain %s takes it back", name, name)
	switch {
	case err == nil:
		return sumUp(p), nil
	case errors.Is(err, etcd.ErrTakenBack):
		return nil, fmt.Errorf("%s is not draining any more: the drain was taken back while this command waited", name)
	case c.Context().Err() != nil:
		return nil, fmt.Errorf("ended before %s was drained; %s", name, again)
	}
	return nil, fmt.Errorf("%w; %s", err, again)
}

func (o *options) drainView(w io.Writer, name string) drainView {
	switch {
	case o.output == "json":
		return &jsonView{w: w}
	case isTerminal(w):
		return &barView{w: w, name: name}
	}
	return &lineView{w: w, name: name}
}
