// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"meridian/health"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories really give into testdata")

// TestStories plays every story of testdata: commands above "----", what they print below, up to an empty line. A command
// starts with the time since the story began:
//
//	0s targets a,b [group=G] [rise=N] [fall=N] [interval=D] [fast=D] [rarely=D] [errors=N] [ban=D] [max_fails=N] [fail_timeout=D]
//	1s probe a ok|fail [REASON]          prints after how long to check again
//	1s checking a                        a check begins
//	1s told a up|down REASON             others check it and say so
//	1s timeout a [REASON]                it ends so; prints after how long to check again
//	1s answered a N BEGAN                N requests, which began at the time BEGAN of the story, are answered
//	2s observe a success|gateway|connect|gone|stalled [REASON]     prints "probe now" if that is asked for
//	3s many a N success|gateway          N times observe, without what it prints
//	3s compare [a=S ...]                 slowness, where the median is 1 and the MAD 0.1
//	3s show
//
// Changes of state are printed as they are told.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tellStory(t, string(old))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(old), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

type story struct {
	t       *testing.T
	tracker *health.Tracker
	out     strings.Builder
}

var began = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func tellStory(t *testing.T, text string) string {
	s := &story{t: t}
	s.tracker = health.NewTracker(func(id string, v health.Verdict) {
		fmt.Fprintf(&s.out, "%s is %s: %s\n", id, v.State, v.Reason)
	})
	skip := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "":
			skip = false
			s.out.WriteString("\n")
		case skip:
		case line == "----":
			skip = true
		case strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		default:
			s.play(line)
		}
	}
	return s.out.String()
}

// play writes the command, then "----" once and what it prints. Each block has one command.
func (s *story) play(line string) {
	s.out.WriteString(line + "\n----\n")
	words := strings.Fields(line)
	at, err := time.ParseDuration(words[0])
	if err != nil || len(words) < 2 {
		s.t.Fatalf("%q is no command", line)
	}
	now, args := began.Add(at), words[2:]
	switch words[1] {
	case "targets":
		s.tracker.Apply(s.targets(args), now)
	case "probe":
		next := s.tracker.Probed(args[0], args[1] == "ok", strings.Join(args[2:], " "), 3*time.Millisecond, now)
		fmt.Fprintf(&s.out, "next in %s\n", next)
	case "checking":
		s.tracker.Checking(args[0], now)
	case "told":
		s.tracker.Told(args[0], args[1] == "down", strings.Join(args[2:], " "), now)
	case "timeout":
		fmt.Fprintf(&s.out, "next in %s\n", s.tracker.TimedOut(args[0], strings.Join(args[1:], " "), time.Second, now))
	case "answered":
		n, _ := strconv.Atoi(args[1])
		at, err := time.ParseDuration(args[2])
		if err != nil {
			s.t.Fatalf("%q is no time", args[2])
		}
		for range n {
			s.tracker.Answered(args[0], began.Add(at))
		}
	case "observe":
		o, ok := map[string]health.Outcome{"success": health.Success, "gateway": health.GatewayError, "connect": health.ConnectFailed, "gone": health.ClientGone, "stalled": health.Stalled}[args[1]]
		if !ok {
			s.t.Fatalf("%q is no outcome", args[1])
		}
		if s.tracker.Observe(args[0], o, strings.Join(args[2:], " "), now) {
			s.out.WriteString("probe now\n")
		}
	case "many":
		n, _ := strconv.Atoi(args[1])
		for range n {
			s.tracker.Observe(args[0], map[string]health.Outcome{"success": health.Success, "gateway": health.GatewayError}[args[2]], "status 502", now)
		}
	case "compare":
		var slow []health.Slowness
		for _, a := range args {
			id, text, _ := strings.Cut(a, "=")
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				s.t.Fatalf("%q is no slowness", a)
			}
			slow = append(slow, health.Slowness{ID: id, S: v, Median: 1, MAD: 0.1})
		}
		s.tracker.Compare(now, slow)
	case "show":
		s.out.WriteString(s.tracker.Describe(now))
	default:
		s.t.Fatalf("%q is no command", line)
	}
}

func (s *story) targets(args []string) map[string]health.Settings {
	var set health.Settings
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch name {
		case "group":
			set.Group = value
		case "rise":
			set.Rise = n
		case "fall":
			set.Fall = n
		case "errors":
			set.ConsecutiveErrors = n
		case "interval":
			set.Interval = d
		case "rarely":
			set.Rarely = d
		case "fast":
			set.FastInterval = d
		case "max_fails":
			set.MaxFails = n
		case "fail_timeout":
			set.FailTimeout = d
		case "ban":
			set.Ban = d
		default:
			s.t.Fatalf("%q is no setting", name)
		}
	}
	out := map[string]health.Settings{}
	for id := range strings.SplitSeq(args[0], ",") {
		out[id] = set
	}
	return out
}
