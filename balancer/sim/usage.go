// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// usage is what a node whose capacity the topology bounds gets in the measured time, from all edges together.
type usage struct {
	inFlight float64 // requests × seconds
	most     int
	second   int // of the count
	count    int // requests that came in this second
	mostRPS  int
	total    int
}

// pass counts the time from then to now with n requests on the node, as far as it is measured.
func (u *usage) pass(then, now time.Duration, n int, s *Scenario) {
	if d := min(now, s.To) - max(then, s.From); d > 0 {
		u.inFlight += d.Seconds() * float64(n)
		u.most = max(u.most, n)
	}
}

// arrive counts a request.
func (u *usage) arrive(now time.Duration, s *Scenario) {
	if now < s.From || now >= s.To {
		return
	}
	if second := int((now - s.From) / time.Second); second != u.second {
		u.second, u.count = second, 0
	}
	u.count++
	u.total++
	u.mostRPS = max(u.mostRPS, u.count)
}

// Limit says how a node's capacity was kept to, as shares of it. Zero where the topology doesn't bound it.
type Limit struct {
	// Mean and Most are of the requests in flight, over the measured time and at any moment.
	Mean, Most float64
	// MeanRPS and MostRPS are of the requests a second, over the measured time and in its busiest second.
	MeanRPS, MostRPS float64
}

// limit returns how the capacity was kept to.
func (u *usage) limit(n Node, s *Scenario) Limit {
	var l Limit
	seconds := (s.To - s.From).Seconds()
	if n.MaxInFlight > 0 {
		l.Mean = u.inFlight / seconds / float64(n.MaxInFlight)
		l.Most = float64(u.most) / float64(n.MaxInFlight)
	}
	if n.MaxRPS > 0 {
		l.MeanRPS = float64(u.total) / seconds / n.MaxRPS
		l.MostRPS = float64(u.mostRPS) / n.MaxRPS
	}
	return l
}

// Limited returns the scenario of 20 edges that keep to two nodes' capacities together, of which each knows only its own part
// and what the others said a second ago. It isn't among Scenarios: without reports, the policies of others can't do it.
func Limited() *Scenario {
	s := manyEdges()
	s.Name, s.About = "limits", "20 edges in front of 8 nodes; the first may have 60 requests in flight, the second 150 a second; they could take twice that"
	s.Nodes = fleet(8, Node{Cores: 128})
	s.Nodes[0].MaxInFlight = 60
	s.Nodes[1].MaxRPS = 150
	s.Routes[0].Mean = 400 * time.Millisecond
	s.Ramp = []RampPoint{{0, 0.2}, {8 * time.Second, 0.2}, {10 * time.Second, 1}}
	s.From, s.To = 12*time.Second, 30*time.Second
	return s
}
