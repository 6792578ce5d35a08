// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// spread is a median with the least and the most.
type spread struct{ median, least, most float64 }

// spreadOf returns the spread of one figure of all rounds; zero without rounds.
func spreadOf(rounds []figures, of func(figures) float64) spread {
	var v []float64
	for _, f := range rounds {
		v = append(v, of(f))
	}
	return spreadIn(v)
}

func spreadIn(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	slices.Sort(v)
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func (s spread) String() string { return s.text("%.1f") }

// text writes it with a format for each number.
func (s spread) text(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.least, s.most)
}

func cpu(f figures) float64  { return f.cpu }
func p50(f figures) float64  { return f.p50 }
func p99(f figures) float64  { return f.p99 }
func p999(f figures) float64 { return f.p999 }

// printRows prints a scenario's table.
func printRows(w io.Writer, name string, rows []*row) {
	fmt.Fprintf(w, "\n### %s; latencies at %.0f a second\n\n", name, halfOfTheSlowest(rows))
	header(w, "proxy", "requests/s", "CPU µs/request", "CPU at half", "p50 ms", "p99 ms", "p99.9 ms", "RSS MiB",
		"edge's rate to it", "edge's CPU to it", "at half", "edge's p99 to it")
	for _, r := range rows {
		edge := rows[0]
		line(w, r.peer.name,
			fmt.Sprintf("%.0f", spreadOf(r.full, rate).median),
			spreadOf(r.full, cpu).String(), spreadOf(r.half, cpu).String(),
			spreadOf(r.half, p50).text("%.2f"), spreadOf(r.half, p99).text("%.2f"), spreadOf(r.half, p999).text("%.2f"),
			fmt.Sprintf("%.1f", float64(r.rss)/(1<<20)),
			ratio(edge.full, r.full, rate), ratio(edge.full, r.full, cpu), ratio(edge.half, r.half, cpu), ratio(edge.half, r.half, p99))
	}
}

// summary is the last table: a line for each scenario with the ratios to every peer.
type summary struct {
	names []string // of the peers, in the order in which they turned up
	lines []summaryLine
}

type summaryLine struct {
	name  string
	cells map[string]string
}

func (s *summary) add(name string, rows []*row) {
	l := summaryLine{name, map[string]string{}}
	for _, r := range rows[1:] {
		p := r.peer.name
		if !slices.Contains(s.names, p) {
			s.names = append(s.names, p)
		}
		l.cells[p] = ratio(rows[0].full, r.full, cpu)
		l.cells[p+" p99"] = ratio(rows[0].half, r.half, p99)
	}
	s.lines = append(s.lines, l)
}

func (s *summary) print(w io.Writer) {
	columns := []string{"edge to"}
	for _, p := range s.names {
		columns = append(columns, p+": CPU per request", "p99 at equal load")
	}
	fmt.Fprint(w, "\n### Summary\n\n")
	header(w, columns...)
	for _, l := range s.lines {
		cells := []string{l.name}
		for _, p := range s.names {
			cells = append(cells, l.cells[p], l.cells[p+" p99"])
		}
		line(w, cells...)
	}
}

func header(w io.Writer, columns ...string) {
	line(w, columns...)
	line(w, slices.Repeat([]string{"---"}, len(columns))...)
}

func line(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

// ratio is the median of the rounds' own ratios, not the ratio of medians: two rounds of the same number were measured
// within seconds of each other.
func ratio(a, b []figures, of func(figures) float64) string {
	if len(a) == 0 || &a[0] == &b[0] {
		return "1"
	}
	var v []float64
	for i := range a {
		v = append(v, of(a[i])/of(b[i]))
	}
	return spreadIn(v).text("%.2f")
}
