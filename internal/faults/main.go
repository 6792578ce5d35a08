// SPDX-License-Identifier: Apache-2.0

// Command faults breaks what is behind a proxy while clients go on asking: nodes are killed, stopped, slowed, cut off and restarted
// under an open loop of requests, a fifth of them POST, by clients that never retry. It counts what failed, by joining what the
// clients have seen with what each node has written down before it executed it, and prints the table of docs/faults.md: the edge
// beside HAProxy and nginx, whose configurations are in the directory proxies. It fails where the edge does not hold what it must.
//
//	faults -edge bin/edge -requests 50000 -seeds 5 -into docs/faults.md
//	faults -edge bin/edge -fault F2 -proxy edge -seeds 1 -v
//
// It also is the node, `faults node`, and what registers one, `faults agent`. Whatever it starts it ends, and on Linux that dies with it in any case.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

func main() {
	var err error
	switch role := strings.Join(os.Args[1:min(2, len(os.Args))], ""); role {
	case "node":
		err = runNode(os.Args[2:])
	case "agent":
		err = runAgent(os.Args[2:])
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = runFaults(ctx, os.Args[1:])
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func runFaults(ctx context.Context, args []string) error {
	p, err := planOf(args)
	if err != nil {
		return err
	}
	results, err := p.run(ctx)
	if err != nil {
		return err
	}
	if err := p.write(results); err != nil {
		return err
	}
	if wrong := results.wrong(); len(wrong) > 0 {
		return fmt.Errorf("the edge does not hold what it must:\n  %s", strings.Join(wrong, "\n  "))
	}
	return nil
}

// planOf reads the flags.
func planOf(args []string) (*plan, error) {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	p := &plan{}
	flags.StringVar(&p.programs.edge, "edge", "bin/edge", "the edge's program")
	only := flags.String("fault", "", "only these faults, comma-separated, as in F1,F2 (default all)")
	proxies := flags.String("proxy", strings.Join(kinds, ","), "before these proxies, comma-separated")
	flags.IntVar(&p.requests, "requests", 50_000, "how many requests a fault has over all seeds, at least")
	flags.Float64Var(&p.rate, "rate", 1000, "requests a second")
	flags.Uint64Var(&p.seed, "seed", 1, "the first seed")
	flags.IntVar(&p.seeds, "seeds", 5, "how many seeds, 1 to 100")
	flags.StringVar(&p.into, "into", "", "write the table into this file, in place of what follows its line "+marker)
	flags.BoolVar(&p.beside, "beside", false, "try all proxies at once: sooner done, with longer latencies for all")
	flags.BoolVar(&p.verbose, "v", false, "print each outcome")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if p.seeds < 1 || p.seeds > 100 || p.rate < 10 || p.rate > 20_000 || p.requests < 1 {
		return nil, fmt.Errorf("-seeds %d -rate %v -requests %d: want 1 to 100, 10 to 20000, and 1 or more", p.seeds, p.rate, p.requests)
	}
	p.command = strings.TrimSpace("faults " + strings.Join(args, " "))
	p.kinds = strings.Split(*proxies, ",")
	p.faults = faults
	if *only != "" {
		p.faults = nil
		for id := range strings.SplitSeq(*only, ",") {
			f, err := find(id)
			if err != nil {
				return nil, err
			}
			p.faults = append(p.faults, f)
		}
	}
	var err error
	p.programs.self, err = os.Executable()
	return p, err
}
