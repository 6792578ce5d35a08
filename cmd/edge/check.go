// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"meridian/config"
)

// maxConfigBytes bounds edge.yaml.
const maxConfigBytes = 1 << 20

func checkCommand(o *options) *cobra.Command {
	var cfgFile, topologyFile string
	var reference bool
	c := &cobra.Command{
		Use:   "check -c FILE | -f FILE",
		Short: "Validate a configuration or a topology file; print every mistake with its line",
		Long: "check -c validates an edge's configuration and prints it with its defaults filled in.\n" +
			"check -f validates a topology file on its own, as edge serve --topology does.",
		Example: "  edge check -c edge.yaml\n  edge check -f topology.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case cfgFile != "" && topologyFile != "":
				return misusef("-c and -f are both given; check one file at a time")
			case reference:
				fmt.Fprint(c.OutOrStdout(), config.Reference())
				return nil
			case cfgFile == "" && topologyFile == "":
				return misusef("-c or -f is missing; give the file to check, or - for standard input")
			case cfgFile != "":
				return o.checkConfig(c, cfgFile)
			}
			return o.checkTopology(c, topologyFile)
		},
	}
	c.Flags().StringVarP(&cfgFile, "config", "c", "", "edge configuration `FILE`")
	c.Flags().StringVarP(&topologyFile, "filename", "f", "", "topology `FILE`")
	c.Flags().BoolVar(&reference, "reference", false, "print the reference of every field of edge.yaml, in Markdown")
	return c
}

func (o *options) checkConfig(c *cobra.Command, file string) error {
	b, err := readBounded(c.InOrStdin(), file, maxConfigBytes)
	if err != nil {
		return err
	}
	cfg, problems := config.ParseEdge(file, b)
	if len(problems) > 0 {
		return report(c.ErrOrStderr(), problems, "fix them and check again")
	}
	if o.output != "table" {
		return o.print(c.OutOrStdout(), cfg, nil)
	}
	y, err := config.EncodeYAML(cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "# %s is right. With its defaults filled in:\n%s", file, y)
	return err
}

func (o *options) checkTopology(c *cobra.Command, file string) error {
	b, err := readBounded(c.InOrStdin(), file, maxTopologyBytes)
	if err != nil {
		return err
	}
	tf, problems := config.ParseTopology(file, b)
	if problems = append(problems, tf.CheckAlone()...); len(problems) > 0 {
		return report(c.ErrOrStderr(), problems, "fix them and check again")
	}
	counts := map[string]int{}
	for _, r := range tf.Resources {
		counts[string(r.Key().Kind)]++
	}
	return o.print(c.OutOrStdout(), counts, func(p *printer) {
		p.line(fmt.Sprintf("%s is right: %d regions, %d edges, %d pools, %d nodes, %d routes, %d names", file,
			counts["regions"], counts["edges"], counts["pools"], counts["nodes"], counts["routes"], counts["names"]))
	})
}
