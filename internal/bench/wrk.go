// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// report has wrk print what parseWrk reads.
const report = `
function done(s, latency, requests)
  local e = s.errors
  io.write(string.format("result %d %d %d\n", s.requests, e.connect + e.read + e.write + e.status + e.timeout, s.duration))
end
`

// wrk returns a load of one thread with so many connections of HTTP/1.1. script is Lua that sets the request.
func wrk(scheme, path string, connections int, script string) load {
	return func(ctx context.Context, l *lab, addr string, d time.Duration) (outcome, error) {
		file := filepath.Join(l.site.Dir, "wrk.lua")
		if err := os.WriteFile(file, []byte(script+report), 0o600); err != nil {
			return outcome{}, err
		}
		// wrk takes whole seconds only: a longer run is interrupted, and reports what it has.
		whole := int(d/time.Second) + 2
		c := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(connections), "-d"+strconv.Itoa(whole)+"s", "--timeout", "5s", "-s", file, scheme+"://"+addr+path)
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			return outcome{}, fmt.Errorf("start wrk: %w", err)
		}
		timer := time.AfterFunc(d, func() { c.Process.Signal(os.Interrupt) })
		defer timer.Stop()
		if err := c.Wait(); err != nil {
			return outcome{}, fmt.Errorf("wrk: %w: %s", err, out.String())
		}
		return parseWrk(out.String())
	}
}

func parseWrk(out string) (outcome, error) {
	_, rest, ok := strings.Cut(out, "result ")
	var o outcome
	var micros float64
	if !ok {
		return o, fmt.Errorf("wrk reported nothing: %s", out)
	}
	if _, err := fmt.Sscan(rest, &o.requests, &o.failed, &micros); err != nil {
		return o, fmt.Errorf("read wrk's report %q: %w", rest, err)
	}
	o.seconds = micros / 1e6
	return o, o.check(out)
}
