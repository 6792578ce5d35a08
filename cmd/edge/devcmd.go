// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"meridian/cmd/edge/dev"
)

func devCommand(o *options) *cobra.Command {
	opt := dev.Options{}
	c := &cobra.Command{
		Use:   "dev",
		Short: "Bring up a whole fleet on this machine: etcd, edges and workers in several regions",
		Long: "dev starts etcd, an edge for each region on a loopback address of its own, and MCP workers beside each, as processes\n" +
			"that can be killed one by one. Ctrl-C ends all of them. The data is kept for the next start.",
		Example: "  edge dev\n  edge dev --regions us-east-1,eu-west-1 --workers 3\n  edge dev stop mcp-us-east-1-1",
		RunE:    func(c *cobra.Command, _ []string) error { return o.dev(c, opt) },
	}
	f := c.Flags()
	f.IntVar(&opt.HTTPPort, "http-port", 8080, "HTTP `PORT` of each edge")
	f.IntVar(&opt.DNSPort, "dns-port", 8053, "DNS `PORT` of each edge")
	f.IntVar(&opt.AdminPort, "admin-port", 9090, "admin and metrics `PORT` of each edge")
	f.IntVar(&opt.EtcdPort, "etcd-port", 2379, "etcd's `PORT`; the next one is used as well")
	f.StringVar(&opt.Regions, "regions", dev.DefaultRegions, "`REGIONS`, comma separated; one that is not well known as NAME@LATITUDE:LONGITUDE")
	f.IntVar(&opt.Workers, "workers", 2, "`NUMBER` of workers in each region")
	f.StringVar(&opt.Toolset, "toolset", "default", "`TOOLSET` of the workers: default or conformance")
	c.PersistentFlags().StringVar(&opt.DataDir, "data-dir", "", "`DIR`ectory for data and logs (default below the user's cache directory)")
	c.AddCommand(devProcess(o, &opt, "stop", "End a process of the running edge dev"), devProcess(o, &opt, "start", "Bring a process of the running edge dev back"), devPS(o, &opt))
	return c
}

func (o *options) dev(c *cobra.Command, opt dev.Options) error {
	if opt.DataDir == "" {
		opt.DataDir = dev.DefaultDataDir()
	}
	dir, err := filepath.Abs(opt.DataDir)
	if err != nil {
		return err
	}
	opt.DataDir = dir
	plan, err := dev.NewPlan(opt)
	if err != nil {
		return misuse{err}
	}
	programs, err := siblings()
	if err != nil {
		return err
	}
	first, err := dev.Example(plan)
	if err != nil {
		return err
	}
	if o.output == "table" {
		out := c.OutOrStdout()
		fmt.Fprintf(out, "edge dev: %d regions, %d workers each\n", len(plan.Regions), plan.Workers)
		return dev.New(plan, programs, first, out).Run(c.Context())
	}
	s := dev.New(plan, programs, first, c.ErrOrStderr()) // progress is not part of the one object
	s.Ready = func(r *dev.Running) { o.print(c.OutOrStdout(), r, nil) }
	return s.Run(c.Context())
}

// siblings finds the backend program beside this one.
func siblings() (dev.Programs, error) {
	self, err := os.Executable()
	if err != nil {
		return dev.Programs{}, err
	}
	backend := filepath.Join(filepath.Dir(self), "backend")
	if _, err := os.Stat(backend); err != nil {
		return dev.Programs{}, fmt.Errorf("there is no backend program beside %s; build both with: make build", self)
	}
	return dev.Programs{Edge: self, Backend: backend}, nil
}

func findRunning(opt *dev.Options) (*dev.Running, error) {
	r := dev.Find(opt.DataDir)
	if r == nil {
		return nil, fmt.Errorf("no edge dev is running; start one with: edge dev")
	}
	return r, nil
}

func devProcess(o *options, opt *dev.Options, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := findRunning(opt)
			if err != nil {
				return err
			}
			act, done := r.Stop, "stopped"
			if verb == "start" {
				act, done = r.Start, "started"
			}
			if err := act(c.Context(), args[0]); err != nil {
				return err
			}
			out := struct {
				Name  string `json:"name"`
				State string `json:"state"`
			}{args[0], done}
			return o.print(c.OutOrStdout(), out, func(p *printer) { p.line(args[0] + " " + done) })
		},
	}
}

func devPS(o *options, opt *dev.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the processes of the running edge dev",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := findRunning(opt)
			if err != nil {
				return err
			}
			ps, err := r.Processes(c.Context())
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), ps, func(p *printer) {
				p.head("NAME", "KIND", "PID", "RUNNING FOR", "OUTPUT")
				for _, x := range ps {
					pid, since := "-", "-"
					if x.PID != 0 {
						pid, since = fmt.Sprint(x.PID), time.Since(x.Started).Round(time.Second).String()
					}
					p.row(x.Name, x.Kind, pid, since, x.Log)
				}
			})
		},
	}
}
