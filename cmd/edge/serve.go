// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"meridian/config"
	"meridian/topology"
)

type serveFlags struct {
	config, topology string
	name, region     string
	http, dns        []string
	exitWithParent   bool
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve -c FILE | --topology FILE",
		Short: "Run an edge: reverse proxy, DNS authority, health checks",
		Long: "serve runs an edge by its configuration file. With --topology it needs no etcd: the topology is read from the file,\n" +
			"and again when that changes. Flags override what the configuration says.",
		Example: "  edge serve -c edge.yaml\n  edge serve --topology etc/examples/standalone.yaml --region local --http 127.0.0.1:8080",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load(c)
			if err != nil {
				return err
			}
			ctx, stop := childContext(c.Context(), f.exitWithParent)
			defer stop()
			return serve(ctx, cfg, f.reread, c.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "edge configuration `FILE`")
	fl.StringVar(&f.topology, "topology", "", "topology `FILE` to use instead of etcd")
	fl.StringVar(&f.name, "name", "", "`NAME` of this edge (default with --topology: the machine's)")
	fl.StringVar(&f.region, "region", "", "`REGION` that this edge is in (default with --topology: the file's, if it has one only)")
	fl.StringSliceVar(&f.http, "http", nil, "`IP:PORT`s to serve HTTP on")
	fl.StringSliceVar(&f.dns, "dns", nil, "`IP:PORT`s to serve DNS on, UDP and TCP")
	hiddenBool(c, &f.exitWithParent)
	return c
}

// load reads the configuration file, if there is one, and lays the flags over it.
func (f *serveFlags) load(c *cobra.Command) (*config.Edge, error) {
	if f.config == "" && f.topology == "" {
		return nil, misusef("-c or --topology is missing; give an edge configuration or a topology file")
	}
	var b []byte
	name := "the flags"
	if f.config != "" {
		var err error
		if b, err = readBounded(c.InOrStdin(), f.config, maxConfigBytes); err != nil {
			return nil, err
		}
		name = f.config
	}
	if f.topology != "" {
		if _, err := os.Stat(f.topology); err != nil {
			return nil, err
		}
	}
	cfg, problems := config.ParseEdge(name, b, f.override)
	if len(problems) > 0 && f.config == "" {
		return nil, misusef("%s: %s", flagOf(problems[0].Field), problems[0].Message)
	}
	if len(problems) > 0 {
		return nil, report(c.ErrOrStderr(), problems, "the edge was not started")
	}
	return cfg, nil
}

// reread is load for an edge that runs by old.
func (f *serveFlags) reread(old *config.Edge) (*config.Edge, []config.Problem) {
	switch f.config {
	case "":
		return nil, []config.Problem{{Message: "the edge was started without a configuration file: there is nothing to read again"}}
	case "-":
		return nil, []config.Problem{{Message: "the edge was started with its configuration on standard input: there is nothing to read again"}}
	}
	b, err := readBounded(strings.NewReader(""), f.config, maxConfigBytes)
	if err != nil {
		return nil, []config.Problem{{Message: err.Error()}}
	}
	return config.ParseReload(old, f.config, b, f.override)
}

// flagOf names the flag that sets a field, for a start without a configuration file.
func flagOf(field string) string {
	top, _, _ := strings.Cut(field, ".")
	if top, _, _ = strings.Cut(top, "["); top == "advertise" {
		return "--http (for " + field + ")"
	}
	return "--" + top
}

func (f *serveFlags) override(e *config.Edge) {
	if f.topology != "" {
		e.TopologyFile, e.Etcd = f.topology, config.Etcd{}
		f.guess(e)
	}
	if f.name != "" {
		e.Name = topology.EdgeID(f.name)
	}
	if f.region != "" {
		e.Region = topology.RegionID(f.region)
	}
	if f.http != nil {
		e.HTTP.Listen = f.http
	}
	if f.dns != nil {
		e.DNS.Listen = f.dns
	}
}

// guess fills in what a topology file and the machine can tell, for a first start without a configuration.
func (f *serveFlags) guess(e *config.Edge) {
	if host, err := os.Hostname(); err == nil && e.Name == "" {
		e.Name = topology.EdgeID(strings.ToLower(host))
	}
	if e.Region != "" || f.region != "" {
		return
	}
	b, err := readBounded(strings.NewReader(""), f.topology, maxTopologyBytes)
	if err != nil {
		return // the source says so in a moment
	}
	tf, _ := config.ParseTopology(f.topology, b)
	var regions []topology.RegionID
	for _, r := range tf.Resources {
		if r, ok := r.(*topology.Region); ok {
			regions = append(regions, r.Name)
		}
	}
	if len(regions) == 1 {
		e.Region = regions[0]
	}
}

// logger writes the program's own log, from a level on that can be changed.
func logger(w io.Writer, level string) (*slog.Logger, *slog.LevelVar, error) {
	l, err := levelOf(level)
	if err != nil {
		return nil, nil, err
	}
	v := &slog.LevelVar{}
	v.Set(l)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: v})), v, nil
}

// ended turns the end that was asked for into no error.
func ended(err, cause error) error {
	if cause != nil && errors.Is(err, cause) {
		return nil
	}
	return err
}
