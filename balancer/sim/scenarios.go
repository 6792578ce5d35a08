// SPDX-License-Identifier: Apache-2.0

package sim

import "time"

// Most scenarios are 20 nodes with two cores each and requests of 20 ms: 2,000 a second. So a node gets 100 a second, enough
// to be known, and a run is some 10,000s of requests, enough for a p99.9.
const (
	usualNodes = 20
	usualMean  = 20 * time.Millisecond
)

// Scenarios returns all scenarios, made anew.
func Scenarios() []*Scenario {
	return []*Scenario{
		even(), oneSlow(), halfSlow(), hang(), failFast(), brownOut(), coldStart(), scaleOut(), zoneLost(), fourCPU(), mixedRoutes(), manyEdges(),
	}
}

// fleet returns n equal nodes.
func fleet(n int, node Node) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = node
	}
	return nodes
}

// usual returns a scenario of equal nodes that is measured from 5 s to 20 s.
func usual(name, about string) *Scenario {
	return &Scenario{
		Name: name, About: about,
		Nodes:  fleet(usualNodes, Node{Cores: 2}),
		Routes: []Route{{Name: "all", Share: 1, Mean: usualMean}},
		From:   5 * time.Second, To: 20 * time.Second,
	}
}

// faulty returns a scenario whose fault comes at 10 s and which is measured from then on, for 15 s.
func faulty(name, about string, faults ...Fault) *Scenario {
	s := usual(name, about)
	s.From, s.To = faultAt, faultAt+15*time.Second
	s.Faults = faults
	return s
}

const faultAt = 10 * time.Second

func even() *Scenario {
	return usual("even", "20 equal nodes, the control")
}

func oneSlow() *Scenario {
	s := usual("one slow", "1 of 20 nodes is 16 times slower")
	s.Nodes[7].Slowness = 16
	return s
}

func halfSlow() *Scenario {
	s := usual("half slow", "10 of 20 nodes are 16 times slower")
	for i := 0; i < usualNodes; i += 2 {
		s.Nodes[i].Slowness = 16
	}
	return s
}

func hang() *Scenario {
	return faulty("hang", "1 of 20 nodes stands still for 6 s, and takes requests",
		Fault{At: faultAt, Kind: Hang, Nodes: []int{7}},
		Fault{At: faultAt + 6*time.Second, Kind: Resume, Nodes: []int{7}})
}

func failFast() *Scenario {
	return faulty("fail fast", "1 of 20 nodes breaks every request off after 1 ms for 10 s; its checks pass",
		Fault{At: faultAt, Kind: FailFast, Nodes: []int{7}},
		Fault{At: faultAt + 10*time.Second, Kind: Mend, Nodes: []int{7}})
}

func brownOut() *Scenario {
	return faulty("brown-out", "1 of 20 nodes is 50 times slower for 10 s; its checks pass",
		Fault{At: faultAt, Kind: Slow, Nodes: []int{7}, Factor: 50},
		Fault{At: faultAt + 10*time.Second, Kind: Slow, Nodes: []int{7}, Factor: 1})
}

func coldStart() *Scenario {
	return faulty("cold start", "1 of 20 nodes dies and is back after 2 s with a cold cache, 10 times slower at first",
		Fault{At: faultAt, Kind: Die, Nodes: []int{7}},
		Fault{At: faultAt + 2*time.Second, Kind: Start, Nodes: []int{7}, Factor: 10})
}

// scaleOut has the arrivals grow with the fleet, tenfold within 10 s.
func scaleOut() *Scenario {
	s := usual("scale-out", "27 nodes join 3, with caches so cold that they are 4 times slower at first; the arrivals grow tenfold in 10 s")
	s.Nodes = append(fleet(3, Node{Cores: 2}), fleet(27, Node{Cores: 2, Absent: true})...)
	join := Fault{At: faultAt, Kind: Join, Factor: 4}
	for i := 3; i < 30; i++ {
		join.Nodes = append(join.Nodes, i)
	}
	s.Faults = []Fault{join}
	s.Ramp = []RampPoint{{0, 0.1}, {faultAt, 0.1}, {faultAt + 10*time.Second, 1}}
	s.From, s.To = faultAt, faultAt+20*time.Second
	return s
}

// zoneLost leaves the edge of the lost zone alive: its requests must go to the others.
func zoneLost() *Scenario {
	s := usual("zone lost", "8 of 24 nodes, a zone of three, drop off the network; an edge in each zone, all three live on")
	zones := []string{"a", "b", "c"}
	s.Nodes, s.Edges = nil, nil
	lost := Fault{At: faultAt, Kind: Vanish}
	for i := range 24 {
		s.Nodes = append(s.Nodes, Node{Cores: 2, Zone: zones[i%3]})
		if i%3 == 2 {
			lost.Nodes = append(lost.Nodes, i)
		}
	}
	for _, z := range zones {
		s.Edges = append(s.Edges, Edge{Zone: z, Weight: 1})
	}
	s.Faults = []Fault{lost}
	s.From, s.To = faultAt, faultAt+15*time.Second
	return s
}

func fourCPU() *Scenario {
	s := usual("four CPU-bound", "4 nodes of 8 cores that all their requests share")
	s.Nodes = fleet(4, Node{Cores: 8, Shares: true})
	return s
}

// mixedRoutes has five sixths of the work in a two-hundredth of the requests.
func mixedRoutes() *Scenario {
	s := usual("mixed routes", "99.5 % of requests take 1 ms, 0.5 % take 1 s, on 10 nodes of 4 cores")
	s.Nodes = fleet(10, Node{Cores: 4})
	s.Routes = []Route{
		{Name: "short", Share: 0.995, Mean: time.Millisecond, Sigma: 0.3},
		{Name: "long", Share: 0.005, Mean: time.Second, Sigma: 0.3},
	}
	s.From, s.To = 5*time.Second, 15*time.Second
	return s
}

// manyEdges has edges of unequal traffic, so that none can take itself for a twentieth.
func manyEdges() *Scenario {
	s := usual("20 edges", "20 edges in front of 20 nodes; the busiest has four times the requests of the quietest")
	for i := range 20 {
		s.Edges = append(s.Edges, Edge{Weight: 5 + i*15/19})
	}
	return s
}
