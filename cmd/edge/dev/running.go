// SPDX-License-Identifier: Apache-2.0

package dev

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Running is what a running `edge dev` tells the other commands, in a file that only its user can read.
type Running struct {
	PID     int           `json:"pid"`
	DataDir string        `json:"data_dir"`
	Started time.Time     `json:"started"`
	Etcd    string        `json:"etcd"`
	Edges   []RunningEdge `json:"edges"`
	// Control and Token are for `edge dev stop`, `start` and `ps`.
	Control string `json:"control"`
	Token   string `json:"token,omitempty"`
}

// RunningEdge is one edge of a running `edge dev`.
type RunningEdge struct {
	Name   string `json:"name"`
	Region string `json:"region"`
	HTTP   string `json:"http"`
	DNS    string `json:"dns"`
	Admin  string `json:"admin"`
}

func runningDir() string { return filepath.Join(cacheDir(), "running") }

// announce writes the file; withdraw removes it.
func (r *Running) announce() error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	for _, path := range []string{filepath.Join(r.DataDir, "running.json"), r.path()} {
		if err := replaceFile(path, b); err != nil {
			return err
		}
	}
	return nil
}

// public is what may be shown: without the token.
func (r *Running) public() *Running {
	p := *r
	p.Token = ""
	return &p
}

func (r *Running) withdraw() {
	os.Remove(filepath.Join(r.DataDir, "running.json"))
	os.Remove(r.path())
}

func (r *Running) path() string { return filepath.Join(runningDir(), strconv.Itoa(r.PID)+".json") }

// Find returns the running `edge dev` on dataDir, or the one that was started last where dataDir is empty, or nil. Files
// of runs that were killed are removed on the way.
func Find(dataDir string) *Running {
	found := findAll(dataDir)
	if len(found) == 0 {
		return nil
	}
	return slices.MaxFunc(found, func(a, b *Running) int { return cmp.Compare(a.Started.UnixNano(), b.Started.UnixNano()) })
}

// Count returns how many are running.
func Count() int { return len(findAll("")) }

func findAll(dataDir string) []*Running {
	files, _ := filepath.Glob(filepath.Join(runningDir(), "*.json"))
	if dataDir != "" {
		files = []string{filepath.Join(dataDir, "running.json")}
	}
	var found []*Running
	for _, f := range files {
		if r := readRunning(f); r != nil {
			found = append(found, r)
		}
	}
	return found
}

func readRunning(path string) *Running {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	r := new(Running)
	if json.Unmarshal(b, r) != nil || len(r.Edges) == 0 || !locked(filepath.Join(r.DataDir, "lock")) {
		os.Remove(path)
		return nil
	}
	return r
}
