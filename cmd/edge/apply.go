// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"meridian/config"
	"meridian/topology"
	"meridian/topology/etcd"
)

// maxTopologyBytes bounds a topology file: 10,000 nodes are about 2 MiB.
const maxTopologyBytes = 64 << 20

func applyCommand(o *options) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Write regions, pools, nodes, routes and names into etcd, whole or not at all",
		Long: "apply adds and changes the resources of the file; readers see all of it or nothing.\n" +
			"What the file does not name is left as it is. With a mistake anywhere, nothing is written.",
		Example: "  edge apply -f etc/examples/topology.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return misusef("-f is missing; give the topology file, or - for standard input")
			}
			return o.apply(c, file)
		},
	}
	c.Flags().StringVarP(&file, "filename", "f", "", "topology `FILE`; - is standard input")
	c.MarkFlagFilename("filename", "yaml", "yml")
	return c
}

// applied is what apply prints.
type applied struct {
	Revision  topology.Revision `json:"revision"`
	Created   []topology.Key    `json:"created"`
	Changed   []topology.Key    `json:"changed"`
	Unchanged []topology.Key    `json:"unchanged"`
}

func (o *options) apply(c *cobra.Command, file string) error {
	tf, err := readTopology(c.InOrStdin(), c.ErrOrStderr(), file)
	if err != nil {
		return err
	}
	client, err := o.etcdClient()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	res, err := client.Apply(ctx, etcd.Change{Put: tf.Resources, Author: author()})
	if refused := (*etcd.RefusedError)(nil); errors.As(err, &refused) {
		var problems []config.Problem
		for _, m := range refused.Mistakes {
			problems = append(problems, tf.Locate(m))
		}
		return report(c.ErrOrStderr(), problems, "nothing was written")
	}
	if err != nil {
		return err
	}
	out := applied{res.Revision, orEmpty(res.Created), orEmpty(res.Changed), orEmpty(res.Unchanged)}
	return o.print(c.OutOrStdout(), out, func(p *printer) { printApplied(p, out) })
}

func orEmpty(keys []topology.Key) []topology.Key {
	if keys == nil {
		return []topology.Key{}
	}
	return keys
}

// maxListed bounds the lines that apply prints for people.
const maxListed = 50

func printApplied(p *printer, a applied) {
	listed := 0
	for _, g := range []struct {
		word string
		keys []topology.Key
	}{{"created", a.Created}, {"changed", a.Changed}} {
		for _, k := range g.keys {
			if listed++; listed <= maxListed {
				p.line(g.word + " " + k.String())
			}
		}
	}
	if listed > maxListed {
		p.line(fmt.Sprintf("… and %d more", listed-maxListed))
	}
	p.line(fmt.Sprintf("%d created, %d changed, %d unchanged; revision %d", len(a.Created), len(a.Changed), len(a.Unchanged), a.Revision))
}

// readTopology reads and checks a topology file. Every mistake is printed with its line.
func readTopology(stdin io.Reader, stderr io.Writer, file string) (*config.TopologyFile, error) {
	b, err := readBounded(stdin, file, maxTopologyBytes)
	if err != nil {
		return nil, err
	}
	tf, problems := config.ParseTopology(file, b)
	if len(problems) > 0 {
		return nil, report(stderr, problems, "nothing was written")
	}
	return tf, nil
}

// readBounded reads a file, or standard input for "-".
func readBounded(stdin io.Reader, file string, most int64) ([]byte, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s has more than %d MiB", file, most>>20)
	}
	return b, nil
}

// report prints every problem on a line of its own and the sum of them at the end.
func report(w io.Writer, problems []config.Problem, consequence string) error {
	for _, p := range problems {
		fmt.Fprintln(w, "edge: "+oneLine(p.Error()))
	}
	noun := "mistakes"
	if len(problems) == 1 {
		noun = "mistake"
	}
	fmt.Fprintf(w, "edge: %d %s; %s\n", len(problems), noun, consequence)
	return errSilent
}
