// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// outcome is what came of one load: the clients' log joined with the nodes'.
type outcome struct {
	fault    *fault
	kind     string // of the proxy
	seed     uint64
	requests []request
	spells   []spell
	nodes    []string        // their names
	control  *outcome        // without the fault; nil in that itself
	found    []time.Duration // for each spell after how long the proxy took the node out; below 0: it didn't
	notes    []string
	length   time.Duration // of the load
	verdicts int           // how often the proxy found the node of the first spell down, or ejected it
	left     int           // how often it took that node out of its picks, for however short
	back     int           // how often it took it back

	repeatable int // failed requests that may be sent again: GET
	others     int // failed POSTs
	inFlight   int // POSTs that were under way between a fault and its detection, or for up to a second where there was none
	astray     int // failed POSTs that were not
	duplicates int // POSTs that nodes have executed more than once
	pretended  int // answers that were not whole and looked so
	unsent     int // requests that the harness was too slow for
	lost       int // POSTs that a node has finished and of which the client knows only that they failed
	by         map[string]int
	statuses   map[int]int // of the answers to requests that failed
}

// failed reports whether the client did not get its answer.
func (r *request) failed() bool { return r.v != well && r.v != cancelled }

// join counts. did is what the nodes have executed, by the numbers that the requests have from first on.
func (o *outcome) join(first uint64, did map[uint64]executions) {
	o.by, o.statuses = map[string]int{}, map[int]int{}
	for i := range o.requests {
		r := &o.requests[i]
		e := did[first+uint64(i)]
		r.on = e.on
		if r.post && e.begun > 1 {
			o.duplicates++
		}
		watched := r.post && o.underWay(r)
		if watched {
			o.inFlight++
		}
		switch r.v {
		case well, cancelled:
			continue
		case unbegun:
			o.unsent++
			continue
		case pretended:
			o.pretended++
		}
		method := "GET"
		if r.post {
			method = "POST"
			o.others++
			if !watched {
				o.astray++
			}
			if e.ended > 0 {
				o.lost++
			}
		} else {
			o.repeatable++
		}
		o.statuses[r.status]++
		o.by[fmt.Sprintf("%s: %s (%d)", method, r.v, r.status)]++
	}
}

// undetected is for how long a fault that no decision followed may have hit requests.
const undetected = time.Second

// slack is what the harness's own clock may be late: lines of logs and processes that end.
const slack = 50 * time.Millisecond

// underWay reports whether a request was so while a fault had not been detected yet.
func (o *outcome) underWay(r *request) bool {
	for i, s := range o.spells {
		d := o.found[i]
		if o.fault.whole {
			d = s.to - s.from
		} else if d < 0 {
			d = undetected
		}
		if r.due <= s.from+d+slack && r.end() >= s.from-slack {
			return true
		}
	}
	return false
}

// picked returns how many requests that were due in a time began at a node.
func (o *outcome) picked(node string, from, to time.Duration) (n int) {
	for i := range o.requests {
		if r := &o.requests[i]; r.due >= from && r.due < to && slices.Contains(r.on, node) {
			n++
		}
	}
	return n
}

// latencies returns those of all requests, in their order of length.
func (o *outcome) latencies() []time.Duration {
	out := make([]time.Duration, 0, len(o.requests))
	for i := range o.requests {
		out = append(out, o.requests[i].took)
	}
	slices.Sort(out)
	return out
}

// window returns the time from the first to the last failure, by when they were due, and when the last was due after the fault before
// it: from then on all was as before.
func (o *outcome) window() (length, failover time.Duration) {
	for _, s := range o.spells {
		first, last := time.Duration(-1), time.Duration(-1)
		for i := range o.requests {
			if r := &o.requests[i]; r.failed() && r.end() >= s.from && r.due <= s.to+time.Second {
				if first < 0 {
					first = r.due
				}
				last = r.due
			}
		}
		if first >= 0 {
			length, failover = max(length, last-first), max(failover, last-s.from)
		}
	}
	return length, failover
}

// repeatableHold is what holds in most faults: what may be repeated never fails, and of the others no more than those which were under way
// until the fault was detected.
func repeatableHold(o *outcome) (wrong []string) {
	if o.repeatable > 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests failed that may be repeated", o.repeatable))
	}
	if o.astray > 0 {
		wrong = append(wrong, fmt.Sprintf("%d POSTs failed that were not under way when the fault was detected", o.astray))
	}
	return wrong
}

// always is what holds whatever is broken.
func always(o *outcome) (wrong []string) {
	if o.duplicates > 0 {
		wrong = append(wrong, fmt.Sprintf("%d POSTs were executed more than once", o.duplicates))
	}
	if o.pretended > 0 {
		wrong = append(wrong, fmt.Sprintf("%d answers were not whole and looked so", o.pretended))
	}
	if o.unsent > 0 {
		wrong = append(wrong, fmt.Sprintf("%d requests were never sent: the harness is too slow, or the proxy held more than %d", o.unsent, mostAtOnce))
	}
	return append(wrong, o.notes...)
}

// none is what holds where nothing is broken.
func none(o *outcome) []string {
	if o.repeatable+o.others > 0 {
		return []string{fmt.Sprintf("%d requests failed", o.repeatable+o.others)}
	}
	return nil
}

// String sums the outcome up.
func (o *outcome) String() string {
	l := o.latencies()
	length, failover := o.window()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, seed %d: %d requests, failed %d GET and %d POST (of %d under way), %d executed twice, %d seemingly whole; p50 %s, p99 %s, p99.9 %s, max %s, above 1 s %d; failures over %s, until %s after the fault; detected after %v",
		o.fault.id, o.kind, o.seed, len(o.requests), o.repeatable, o.others, o.inFlight, o.duplicates, o.pretended,
		ms(quantile(l, 0.5)), ms(quantile(l, 0.99)), ms(quantile(l, 0.999)), ms(quantile(l, 1)), above(l, time.Second), ms(length), ms(failover), o.found)
	if o.fault.more != nil {
		fmt.Fprintf(&b, "; %s", o.fault.more([]*outcome{o}))
	}
	for what, n := range o.by {
		fmt.Fprintf(&b, "\n  %d × %s", n, what)
	}
	return b.String()
}

func ms(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// quantile returns what the share q of sorted durations does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// above returns how many of sorted durations are longer.
func above(sorted []time.Duration, d time.Duration) int {
	i, _ := slices.BinarySearch(sorted, d+1)
	return len(sorted) - i
}
