// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"meridian/topology/etcd"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitMisuse = 2
)

// misuse marks an error that the command line itself has.
type misuse struct{ error }

func misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// errSilent is an error that has been reported already; only the exit code is left.
var errSilent = errors.New("reported")

// Main runs one command line and returns the exit code. Errors go to stderr, one line each.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSilent):
		return exitFailed
	}
	fmt.Fprintln(stderr, "edge: "+oneLine(err.Error())+hint(err))
	if errors.As(err, &misuse{}) {
		return exitMisuse
	}
	return exitFailed
}

// hint says what to do about an error that many commands have.
func hint(err error) string {
	if errors.Is(err, etcd.ErrUnreachable) {
		return "; is it running? give its address with --etcd (edge dev start etcd brings back a stopped one)"
	}
	return ""
}

// oneLine keeps an error on one line whatever it repeats.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// options are the flags that every command has.
type options struct {
	admin  string
	etcd   string
	output string

	stderr io.Writer // for notes; nil: none
}

func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "edge",
		Short: "Reverse proxy, global load balancer and DNS authority in one binary",
		Long: "edge is Meridian: a reverse proxy, a global load balancer and the DNS authority for the global names, in one binary.\n\n" +
			"Start with `edge dev`: it brings up a whole fleet on this machine.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&o.admin, "admin", "", "admin `URL` of the edge to ask (default: the running edge dev, else http://127.0.0.1:9090)")
	f.StringVar(&o.etcd, "etcd", "", "etcd `URL`s, comma separated (default: the running edge dev, else http://127.0.0.1:2379)")
	f.StringVarP(&o.output, "output", "o", "table", "output `FORM`: table, json or yaml")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return misusef("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		devCommand(&o), serveCommand(), etcdCommand(),
		statusCommand(&o), getCommand(&o), explainCommand(&o),
		applyCommand(&o), drainCommand(&o), undrainCommand(&o), drainsCommand(&o), forgetCommand(&o),
		reloadCommand(&o), checkCommand(&o), versionCommand(&o),
	)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		o.stderr = c.ErrOrStderr()
		return o.checkOutput()
	}
	strict(root)
	return root
}

// strict makes wrong arguments a misuse, and a group without a sub-command as well.
func strict(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			if c.HasSubCommands() && len(args) > 0 {
				return misusef("there is no command %q; see %s --help", c.CommandPath()+" "+args[0], c.CommandPath())
			}
			return misusef("%w; usage: %s", err, c.UseLine())
		}
		return nil
	}
	if c.RunE == nil {
		c.RunE = func(c *cobra.Command, _ []string) error {
			c.Help()
			return misusef("%s needs a command", c.CommandPath())
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}
