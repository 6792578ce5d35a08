// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// h2load returns a load of one thread: so many connections of HTTP/2 with so many streams at once on each.
func h2load(scheme, path string, connections, streams int) load {
	return func(ctx context.Context, _ *lab, addr string, d time.Duration) (outcome, error) {
		out, err := exec.CommandContext(ctx, "h2load", "-t1", "-c"+strconv.Itoa(connections), "-m"+strconv.Itoa(streams),
			"-D", fmt.Sprintf("%dms", d.Milliseconds()), scheme+"://"+addr+path).CombinedOutput()
		if err != nil {
			return outcome{}, fmt.Errorf("h2load: %w: %s", err, out)
		}
		return parseH2load(string(out))
	}
}

var (
	h2loadTime  = regexp.MustCompile(`(?m)^finished in ([0-9.]+)(us|ms|s),`)
	h2loadCount = regexp.MustCompile(`(?m)^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadProto = regexp.MustCompile(`(?m)^Application protocol: h2c?$`)
)

func parseH2load(out string) (outcome, error) {
	var o outcome
	took, count := h2loadTime.FindStringSubmatch(out), h2loadCount.FindStringSubmatch(out)
	if took == nil || count == nil || !h2loadProto.MatchString(out) {
		return o, fmt.Errorf("h2load reported nothing, or spoke another protocol than HTTP/2: %s", out)
	}
	o.seconds, _ = strconv.ParseFloat(took[1], 64) // digits by the pattern, as the following
	o.seconds *= map[string]float64{"us": 1e-6, "ms": 1e-3, "s": 1}[took[2]]
	o.requests, _ = strconv.ParseFloat(count[1], 64)
	for _, failed := range count[2:] {
		n, _ := strconv.ParseFloat(failed, 64)
		o.failed += n
	}
	return o, o.check(out)
}
