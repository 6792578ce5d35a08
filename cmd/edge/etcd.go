// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"meridian/topology/etcd"
)

func etcdCommand() *cobra.Command {
	var cfg etcd.ServerConfig
	var exitWithParent bool
	c := &cobra.Command{
		Use:     "etcd --data-dir DIR",
		Short:   "Run an etcd of one member, for development and small fleets",
		Example: "  edge etcd --data-dir /var/lib/meridian/etcd",
		RunE: func(c *cobra.Command, _ []string) error {
			if cfg.Dir == "" {
				return misusef("--data-dir is missing; give the directory for etcd's data")
			}
			ctx, stop := childContext(c.Context(), exitWithParent)
			defer stop()
			cfg.Logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			if err := etcd.RunServer(ctx, cfg); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&cfg.Dir, "data-dir", "", "`DIR`ectory for the data")
	c.Flags().StringVar(&cfg.ClientURL, "client-url", defaultEtcd, "`URL` on which clients are served")
	c.Flags().StringVar(&cfg.PeerURL, "peer-url", "http://127.0.0.1:2380", "`URL` on which peers would be served")
	c.Flags().StringVar(&cfg.Name, "name", "meridian", "`NAME` of the member")
	hiddenBool(c, &exitWithParent)
	return c
}
