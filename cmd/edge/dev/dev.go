// SPDX-License-Identifier: Apache-2.0

// Package dev is `edge dev`: a whole fleet on one machine, each part a process of its own, so that a user can kill one
// and watch the failover. It plans addresses, checks that they are free, starts etcd, edges and workers in that order,
// waits until all are ready, reports a child that dies, and ends everything with itself.
//
// It decides nothing about traffic, and nothing in production uses it.
//
// Supervisor.Run owns every goroutine and every child.
//
//	plan, err := dev.NewPlan(dev.Options{Regions: "us-east-1,eu-central-1", Workers: 2, HTTPPort: 8080, …})
//	s, err := dev.Open(plan, dev.Programs{Edge: "bin/edge", Backend: "bin/backend"}, os.Stdout)
//	err = s.Run(ctx)
package dev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Options are the flags of `edge dev`.
type Options struct {
	Regions   string // names, comma separated; NAME or NAME@LATITUDE:LONGITUDE
	Workers   int    // in each region; 0 to MaxWorkers
	Toolset   string // of the workers
	HTTPPort  int
	DNSPort   int
	AdminPort int
	EtcdPort  int // and the next one, for etcd's peers
	DataDir   string
}

// MaxWorkers and MaxRegions bound what one machine is asked to start.
const (
	MaxWorkers = 50
	MaxRegions = 20
)

// Toolsets are those of the backend program, which this one does not link in; a test compares the two.
var Toolsets = []string{"default", "conformance"}

// DefaultRegions are the regions of a first start.
const DefaultRegions = "us-east-1,eu-central-1,ap-southeast-1"

// DefaultDataDir is below the user's cache directory, or below the temporary one for a user who has none.
func DefaultDataDir() string { return filepath.Join(cacheDir(), "dev") }

func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "meridian-"+strconv.Itoa(os.Getuid()))
	}
	return filepath.Join(dir, "meridian")
}

// check returns every mistake in the options.
func (o Options) check() error {
	var errs []error
	for _, p := range []struct {
		flag string
		port int
	}{{"--http-port", o.HTTPPort}, {"--dns-port", o.DNSPort}, {"--admin-port", o.AdminPort}, {"--etcd-port", o.EtcdPort}} {
		if p.port < 1 || p.port > 65534 {
			errs = append(errs, fmt.Errorf("%s %d is not a port; want 1 to 65534", p.flag, p.port))
		}
	}
	if o.Workers < 0 || o.Workers > MaxWorkers {
		errs = append(errs, fmt.Errorf("--workers %d is out of bounds; want 0 to %d in each region", o.Workers, MaxWorkers))
	}
	if !slices.Contains(Toolsets, o.Toolset) {
		errs = append(errs, fmt.Errorf("--toolset %q is unknown; want %s", o.Toolset, strings.Join(Toolsets, " or ")))
	}
	if o.DataDir == "" {
		errs = append(errs, errors.New("--data-dir is empty; want a directory"))
	}
	return errors.Join(errs...)
}
