// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"meridian/topology"
)

// maxListed bounds the nodes that fleet_status lists; the counts cover all. A fleet may have 10,000.
const maxListed = 500

type fleet struct {
	Revision topology.Revision `json:"revision"`
	Regions  []regionStatus    `json:"regions"`
	Edges    []edgeStatus      `json:"edges"`
	Pools    []poolStatus      `json:"pools"`
	Nodes    []nodeStatus      `json:"nodes"`
	// NodesTotal is more than the length of Nodes when the list is cut.
	NodesTotal int `json:"nodes_total"`
	// Refused counts stored values that were not taken.
	Refused int `json:"refused"`
}

type regionStatus struct {
	Name  topology.RegionID `json:"name"`
	Edges int               `json:"edges"`
	Nodes int               `json:"nodes"`
}

type edgeStatus struct {
	Name   topology.EdgeID   `json:"name"`
	Region topology.RegionID `json:"region"`
	HTTP   string            `json:"http,omitempty"`
	Live   bool              `json:"live"`
	Stale  bool              `json:"stale"`
}

type poolStatus struct {
	Name     topology.PoolID `json:"name"`
	Nodes    int             `json:"nodes"`
	Draining int             `json:"draining"`
	InFlight int             `json:"in_flight"`
	Sessions int             `json:"sessions"`
}

type nodeStatus struct {
	Name     topology.NodeID   `json:"name"`
	Pool     topology.PoolID   `json:"pool"`
	Region   topology.RegionID `json:"region"`
	Zone     string            `json:"zone,omitempty"`
	Address  string            `json:"address"`
	Live     bool              `json:"live"`
	Draining bool              `json:"draining"`
	InFlight int               `json:"in_flight"`
	Sessions int               `json:"sessions"`
	CPU      float64           `json:"cpu"`
}

func (w *Worker) fleetStatus(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, fleet, error) {
	snap := w.cfg.Snapshot()
	if snap == nil {
		return nil, fleet{}, errNoSnapshot
	}
	return nil, fleetOf(snap), nil
}

func fleetOf(s *topology.Snapshot) fleet {
	f := fleet{Revision: s.Revision, Regions: []regionStatus{}, Edges: []edgeStatus{}, Pools: []poolStatus{},
		Nodes: []nodeStatus{}, NodesTotal: len(s.Nodes), Refused: len(s.Refused)}
	inRegion := map[topology.RegionID]int{}
	for i, n := range s.Nodes {
		inRegion[n.Region]++
		if i < maxListed {
			f.Nodes = append(f.Nodes, statusOf(s, n))
		}
	}
	for _, r := range s.Regions {
		f.Regions = append(f.Regions, regionStatus{r.Name, len(s.EdgesIn(r.Name)), inRegion[r.Name]})
	}
	for _, e := range s.Edges {
		f.Edges = append(f.Edges, edgeStatus{e.Name, e.Region, e.HTTP, e.Live, e.Report != nil && e.Report.Stale})
	}
	for _, p := range s.Pools {
		f.Pools = append(f.Pools, poolOf(s, p.Name))
	}
	return f
}

func poolOf(s *topology.Snapshot, id topology.PoolID) poolStatus {
	p := poolStatus{Name: id}
	for _, n := range s.NodesOf(id) {
		st := statusOf(s, n)
		p.Nodes++
		p.InFlight += st.InFlight
		p.Sessions += st.Sessions
		if st.Draining {
			p.Draining++
		}
	}
	return p
}

// nodesOf returns the status of a pool's nodes, at most maxListed.
func nodesOf(s *topology.Snapshot, id topology.PoolID) []nodeStatus {
	out := []nodeStatus{}
	for _, n := range s.NodesOf(id)[:min(maxListed, len(s.NodesOf(id)))] {
		out = append(out, statusOf(s, n))
	}
	return out
}

func statusOf(s *topology.Snapshot, n *topology.Node) nodeStatus {
	st := nodeStatus{Name: n.Name, Pool: n.Pool, Region: n.Region, Zone: n.Zone, Address: n.Address, Live: n.Live,
		Draining: n.Leaving || s.DrainOf(n.Name) != nil}
	if l := n.Load; l != nil {
		st.InFlight, st.Sessions, st.CPU = l.InFlight, l.Sessions, l.CPU
	}
	return st
}
