// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"meridian/topology"
	"meridian/topology/etcd"
)

func undrainCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "undrain TARGET",
		Short:   "Take a drain back: the target gets new sessions and requests again",
		Example: "  edge undrain node/mcp-us-east-1-1\n  edge undrain region/us-east-1",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.undrain(c, args[0]) },
	}
}

func (o *options) undrain(c *cobra.Command, name string) error {
	if err := checkTarget(name); err != nil {
		return err
	}
	client, err := o.etcdClient()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	if name, err = drainedTarget(ctx, client, name); err != nil {
		return err
	}
	res, err := client.Apply(ctx, etcd.Change{Delete: []topology.Key{{Kind: topology.KindDrain, Name: name}}, Author: author()})
	if err != nil {
		return err
	}
	out := struct {
		Name     string            `json:"name"`
		Was      bool              `json:"was_draining"`
		Revision topology.Revision `json:"revision"`
	}{name, len(res.Deleted) > 0, res.Revision}
	return o.print(c.OutOrStdout(), out, func(p *printer) {
		if out.Was {
			p.line(fmt.Sprintf("%s takes new sessions and requests again (revision %d)", name, out.Revision))
		} else {
			p.line(name + " was not draining")
		}
	})
}

// drainedTarget completes a zone that is named without its region: by the zones that are drained, then by those that there are.
func drainedTarget(ctx context.Context, client *etcd.Client, name string) (string, error) {
	if _, ok := topology.ParseDrainTarget(name); ok {
		return name, nil
	}
	set, _, err := client.Read(ctx)
	if err != nil {
		return "", err
	}
	drained := ""
	for k := range set {
		if t, ok := topology.ParseDrainTarget(k.Name); k.Kind == topology.KindDrain && ok && t.Scope == topology.ScopeZone && name == "zone/"+t.Zone {
			if drained != "" {
				return "", misusef("several regions drain a zone %q: say %s or %s", t.Zone, drained, k.Name)
			}
			drained = k.Name
		}
	}
	if drained != "" {
		return drained, nil
	}
	return drainTarget(set, name)
}

// drainLine is one drain as drains shows it.
type drainLine struct {
	Name     string         `json:"name"`
	Scope    topology.Scope `json:"scope"`
	Author   string         `json:"author,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	Created  time.Time      `json:"created"`
	Deadline time.Time      `json:"deadline,omitzero"`
	State    string         `json:"state"` // "draining", "drained" or "cut"
	Progress *drainProgress `json:"progress"`
}

func drainsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "drains",
		Short: "Show all drains: who asked, why, until when, and what is left",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := o.etcdClient()
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			all, err := client.Drains(ctx)
			if err != nil {
				return err
			}
			lines := []drainLine{}
			for _, p := range all {
				lines = append(lines, lineOf(p))
			}
			return o.print(c.OutOrStdout(), lines, func(p *printer) { printDrains(p, lines) })
		},
	}
}

func lineOf(p etcd.DrainProgress) drainLine {
	d, sum := p.Drain, sumUp(p)
	l := drainLine{
		Name: d.Name, Scope: d.Target().Scope, Author: d.Author, Reason: d.Reason, Created: d.Created, Deadline: d.Deadline, State: "draining", Progress: sum,
	}
	switch {
	case sum.complete:
		l.State = "drained"
	case sum.Cut > 0 && len(sum.Waiting) == 0:
		l.State = "cut"
	}
	return l
}

func printDrains(p *printer, lines []drainLine) {
	if len(lines) == 0 {
		p.line("none")
		return
	}
	p.head("TARGET", "STATE", "SINCE", "BY", "DEADLINE", "IN FLIGHT", "STREAMS", "SESSIONS", "DNS", "WAITING FOR", "REASON")
	for _, l := range lines {
		dns := "-"
		if l.Progress.DNSLeft > 0 {
			dns = fmt.Sprintf("%d s", l.Progress.DNSLeft)
		}
		p.row(l.Name, l.State, age(l.Created)+" ago", dash(l.Author), deadlineOf(l.Deadline), fmt.Sprint(l.Progress.InFlight), fmt.Sprint(l.Progress.Streams),
			fmt.Sprint(l.Progress.Sessions), dns, waitingNames(l.Progress), dash(l.Reason))
	}
}

// waitingNames lists whom a drain waits for, a few of them by name.
func waitingNames(p *drainProgress) string {
	const most = 3
	s := ""
	for i, name := range p.Waiting {
		if i == most {
			return s + fmt.Sprintf(" and %d more", len(p.Waiting)-most)
		}
		if i > 0 {
			s += ", "
		}
		s += name
		if slices.Contains(p.Unknown, name) {
			s += " (unknown)"
		}
	}
	return dash(s)
}

func deadlineOf(t time.Time) string {
	switch left := time.Until(t).Round(time.Second); {
	case t.IsZero():
		return "never"
	case left <= 0:
		return "passed"
	default:
		return "in " + left.String()
	}
}

func forgetCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "forget edge/NAME",
		Short: "Have no drain wait any more for an edge that ended without a goodbye and won't come back",
		Long: "forget removes the mark that an edge leaves in etcd while it runs. An edge that was killed, or whose machine is gone, leaves it\n" +
			"behind, and every edge drain --wait waits for it, since it may still serve by its last snapshot: see to it that it doesn't before\n" +
			"it is forgotten. An edge that has a lease is not forgotten.",
		Example: "  edge forget edge/edge-us-east-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, ok := topology.ParseDrainTarget(args[0])
			if !ok || t.Scope != topology.ScopeEdge {
				return misusef("%q is not an edge; want edge/NAME", args[0])
			}
			client, err := o.etcdClient()
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			was, err := client.Forget(ctx, t.Edge)
			if errors.Is(err, etcd.ErrLive) {
				return fmt.Errorf("%w; it says goodbye when it is ended with SIGTERM", err)
			}
			if err != nil {
				return err
			}
			out := struct {
				Name string `json:"name"`
				Was  bool   `json:"was_known"`
			}{args[0], was}
			return o.print(c.OutOrStdout(), out, func(p *printer) {
				if was {
					p.line(args[0] + " is forgotten: no drain waits for it")
				} else {
					p.line(args[0] + " was not known")
				}
			})
		},
	}
}
