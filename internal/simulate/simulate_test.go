// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/balancer/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStudentsQuantilesAreThoseOfTheTable(t *testing.T) {
	for freedom, want := range map[int]float64{1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 19: 2.093, 100: 1.984} {
		if got := studentT(freedom); math.Abs(got-want) > 0.01*want {
			t.Errorf("%d degrees of freedom: %.4f, want %.3f", freedom, got, want)
		}
	}
}

func TestIntervalsHoldTheMeanAsOftenAsTheySay(t *testing.T) {
	rand := sim.NewRand(1, 0)
	held := 0
	const rounds = 2000
	for range rounds {
		samples := make([]float64, 5)
		for i := range samples {
			samples[i] = 7 + 2*rand.Normal()
		}
		if i := intervalOf(samples); i.low() <= 7 && 7 <= i.high() {
			held++
		}
	}
	if share := float64(held) / rounds; share < 0.93 || share > 0.97 {
		t.Errorf("%.3f of the 95 %% intervals hold the mean", share)
	}
}

func TestPairsCancelWhatTheyShare(t *testing.T) {
	rand := sim.NewRand(2, 0)
	var a, b []float64
	for range 20 {
		hard := math.Exp(rand.Normal()) // a seed's own difficulty, far above the difference
		a, b = append(a, 1.03*hard), append(b, hard)
	}
	if r := ratioOf(a, b); math.Abs(r.mean-1.03) > 1e-9 || r.high-r.low > 1e-9 {
		t.Errorf("%+v, want 1.03 exactly", r)
	}
}

// cellOf makes a cell in which each policy's p99s are given, in milliseconds by seed.
func cellOf(policies []sim.Policy, ours, other []int) *cell {
	c := &cell{}
	for _, p := range policies {
		list := other
		if p.Name == sim.Meridian.Name {
			list = ours
		}
		var results []sim.Result
		for _, ms := range list {
			results = append(results, sim.Result{Measured: 1000, P99: time.Duration(ms) * time.Millisecond})
		}
		c.results = append(c.results, results)
	}
	return c
}

func TestVerdictsAreReadByTheIntervals(t *testing.T) {
	o := &outcome{grid: grid{policies: sim.Policies()}}
	for _, c := range []struct {
		ours, other []int
		want        verdict
	}{
		{[]int{90, 91, 89}, []int{100, 101, 99}, best},
		{[]int{100, 101, 99}, []int{100, 101, 99}, within},
		{[]int{103, 104, 102}, []int{100, 101, 99}, within},
		{[]int{103, 120, 90}, []int{100, 101, 99}, undecided},
		{[]int{120, 121, 119}, []int{100, 101, 99}, beyond},
	} {
		if got := o.compare(cellOf(o.policies, c.ours, c.other)).verdict; got != c.want {
			t.Errorf("ours %v, others %v: %v, want %v", c.ours, c.other, got, c.want)
		}
	}
	worse := cellOf(o.policies, []int{100, 101, 99}, []int{100, 101, 99})
	for i := range worse.results[slices.IndexFunc(o.policies, func(p sim.Policy) bool { return p.Name == sim.Meridian.Name })] {
		worse.results[len(worse.results)-1][i].Errors = 5
	}
	if cmp := o.compare(worse); !cmp.errorsAbove() {
		t.Errorf("five failed requests more don't count: %+v", cmp.errors)
	}
}

func TestTheReportHasEveryScenarioAndPolicy(t *testing.T) {
	g := grid{scenarios: sim.Scenarios()[3:5], policies: sim.Policies(), loads: []float64{0.3}, seed: 1, seeds: 2}
	for _, s := range g.scenarios {
		s.From, s.To = 9*time.Second, 11*time.Second
	}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := report(b, g.run(), true); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("two runs with the same seeds print two reports")
	}
	for _, want := range []string{"| hang |", "### fail fast", "| 0.3 | Prequal |", "| 0.3 | Meridian |", "## A node's limit"} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if strings.Contains(first.String(), "NaN") {
		t.Error("the report has figures that are none")
	}
}

func TestARewriteKeepsWhatIsWrittenByHand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	print := func(w io.Writer) error { _, err := io.WriteString(w, "new\n"); return err }
	if err := os.WriteFile(file, []byte("by hand\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(file, print); err == nil || !strings.Contains(err.Error(), marker) {
		t.Errorf("a file without the marker: %v", err)
	}
	if err := os.WriteFile(file, []byte("by hand\n"+marker+"\nold\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds its own marker
		if err := rewrite(file, print); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if want := "by hand\n" + marker + "\n\nnew\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	for _, args := range [][]string{{"-load", "0.8,x"}, {"-load", "9"}, {"-seeds", "1"}, {"-scenario", "no such"}} {
		err := run(args)
		if err == nil || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
