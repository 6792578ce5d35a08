// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"meridian/internal/program"
	"meridian/internal/testnet"
)

// startProgram runs one of the real programs on its own.
func startProgram(t *testing.T, name string, args ...string) *program.Process {
	t.Helper()
	return program.Start(t, exec.Command(filepath.Join(binDir, name), args...))
}

// startWorker runs a worker without etcd and returns its address.
func startWorker(t *testing.T) (addr string) {
	t.Helper()
	p := startProgram(t, "backend", "serve", "--name", "w1", "--pool", "mcp", "--region", "lab", "--grace", "100ms")
	testnet.Wait(t, "the worker to listen", func() (listens bool) {
		_, rest, _ := strings.Cut(p.Out.String(), "listening http://")
		addr, _, listens = strings.Cut(rest, "/mcp")
		return listens
	})
	return addr
}
