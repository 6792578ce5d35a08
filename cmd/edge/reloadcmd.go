// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func reloadCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have a running edge read its configuration file again",
		Long: "reload has the edge at --admin, which must be on this machine, put its edge.yaml in force as it is now, whole or not at\n" +
			"all. Listeners that stay keep their connections; those that went are drained. SIGHUP does the same.\n" +
			"name, region, dns.listen, admin.listen, etcd, topology_file and data_dir need a restart.",
		Example: "  edge check -c /etc/meridian/edge.yaml && edge reload",
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := o.adminClient().Reload(c.Context())
			if err != nil {
				return err
			}
			if len(r.Mistakes) > 0 {
				return refusedReload(c, r.Mistakes)
			}
			return o.print(c.OutOrStdout(), r, func(p *printer) {
				if len(r.Changed) == 0 {
					p.line("reloaded; nothing has changed")
					return
				}
				p.line("reloaded; changed: " + strings.Join(r.Changed, ", "))
			})
		},
	}
}

func refusedReload(c *cobra.Command, mistakes []string) error {
	for _, m := range mistakes {
		fmt.Fprintln(c.ErrOrStderr(), "edge: "+oneLine(m))
	}
	noun := "mistakes"
	if len(mistakes) == 1 {
		noun = "mistake"
	}
	fmt.Fprintf(c.ErrOrStderr(), "edge: %d %s; nothing was changed\n", len(mistakes), noun)
	return errSilent
}
