// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"meridian/backend"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitMisuse = 2
)

// version is the release; the build sets it with -ldflags "-X main.version=…".
var version = "dev"

// misuse marks an error that the command line itself has.
type misuse struct{ error }

func misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// Main runs one command line and returns the exit code. Errors go to stderr, one line each. The first SIGINT or SIGTERM
// ends gracefully, a second one at once.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from then on a signal does what it does by default
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "backend: "+oneLine(err.Error()))
	if errors.As(err, &misuse{}) {
		return exitMisuse
	}
	return exitFailed
}

// oneLine keeps an error on one line whatever it repeats.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "backend",
		Short:         "MCP worker of a Meridian fleet",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misusef("there is no command %q; see backend --help", args[0])
			}
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misuse{err} })
	root.AddCommand(serveCommand(), versionCommand())
	return root
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misusef("%q: this command takes no arguments, only flags", args[0])
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "backend %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

func serveCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a toolset over MCP until SIGTERM, then finish what is in flight",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "the node's `NAME`, unique in the fleet (needed with --etcd)")
	f.StringVar(&o.pool, "pool", "mcp", "the `POOL` it serves in")
	f.StringVar(&o.region, "region", "", "the `REGION` it runs in (needed with --etcd)")
	f.StringVar(&o.zone, "zone", "", "the failure `ZONE` within the region")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`IP:PORT` to listen on; port 0 takes a free one")
	f.StringVar(&o.advertise, "advertise", "", "`IP:PORT` that edges connect to (default: where it listens)")
	f.StringSliceVar(&o.etcd, "etcd", nil, "etcd `URL`s, comma separated; without, the worker serves and registers nowhere")
	f.IntVar(&o.connections, "capacity-connections", 0, "most requests at work at once; 0: no bound")
	f.Float64Var(&o.rps, "capacity-rps", 0, "most requests a second; 0: no bound")
	f.IntVar(&o.sessions, "max-sessions", 0, "most sessions held at once; 0: 10000")
	f.StringToStringVar(&o.labels, "label", nil, "`KEY=VALUE` that describes the node; may be repeated")
	f.StringVar(&o.toolset, "toolset", string(backend.ToolsetDefault), "what to serve: default or conformance")
	f.DurationVar(&o.grace, "grace", time.Second, "how long to go on as before after SIGTERM, so that every edge learns of it")
	f.DurationVar(&o.deadline, "shutdown-deadline", 30*time.Second, "when to cut what is left after SIGTERM, the grace included")
	f.TextVar(&o.level, "log-level", slog.LevelInfo, "least `LEVEL` to log: debug, info, warn or error")
	f.BoolVar(&o.tied, "exit-with-parent", false, "end when descriptor 3, a pipe from the parent, is closed")
	if err := f.MarkHidden("exit-with-parent"); err != nil {
		panic("backend: " + err.Error()) // invariant: the flag is there
	}
	return c
}
