// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"meridian/balancer"
	"meridian/geo"
	"meridian/health"
	"meridian/topology"
)

// edgeTarget is the prefix of an edge's id at the tracker, which nodes and edges share. A node's id is its name, which has
// no slash, so that the outcome of a request is told without making a string.
const edgeTarget = "edge/"

// fleet joins what this edge sees (verdicts) with what the others report, and keeps the sum as one immutable outlook that
// DNS, the report, status and explain read.
type fleet struct {
	// set once, never changed
	self    topology.Edge // name and region; told is the whole
	started time.Time
	store   *topology.Store
	table   *balancer.Table
	tracker *health.Tracker
	locator geo.Locator
	stale   func() bool // the source of the topology can't be seen
	ending  func() bool // the edge is about to end
	acks    func() []topology.Ack
	changed func() // called when the report or Leaving has changed

	told  atomic.Pointer[topology.Edge] // what others are told of this edge; a reload may change it
	kicks chan struct{}                 // of one; full means that a look is due already

	plan atomic.Pointer[checkPlan] // nil: each edge checks its region's nodes

	// arrivals says when this edge first saw a node that others check at its address. It belongs to run's goroutine.
	arrivals map[topology.NodeID]arrival
	usage    usage // run's, too

	answered answered // its entries belong to run's goroutine

	mu      sync.Mutex // guards reports
	reports map[topology.EdgeID]*topology.Report

	outlook atomic.Pointer[outlook]
}

// outlook is the fleet at one moment. Immutable.
type outlook struct {
	snapshot *topology.Snapshot
	edges    []health.EdgeView
	regions  map[regionPool]regionOutlook
	sites    []geo.Site
	report   *topology.Report
	clocks   ttlClocks
	heard    map[topology.NodeID][]health.Change // how other regions' nodes have stood
}

type regionPool struct {
	region topology.RegionID
	pool   topology.PoolID
}

type regionOutlook struct {
	canServe  bool
	reason    string
	addresses []netip.Addr
	edges     []*topology.Edge // whose addresses those are
	last      *regionOutlook   // without drains, where drains are why it can't serve
}

func (f *fleet) init() {
	f.told.Store(&f.self)
	f.answered.began = time.Now()
	f.kicks = make(chan struct{}, 1)
	f.arrivals = map[topology.NodeID]arrival{}
	f.reports = map[topology.EdgeID]*topology.Report{}
	f.outlook.Store(&outlook{report: &topology.Report{Started: f.started}})
}

// snapshot returns the topology of the outlook, so that DNS takes up a name together with where it can be served.
func (f *fleet) snapshot() *topology.Snapshot { return f.outlook.Load().snapshot }

// kick asks for a new look soon. It never blocks.
func (f *fleet) kick() {
	select {
	case f.kicks <- struct{}{}:
	default:
	}
}

// learn takes a report that an edge gave in answer to a probe.
func (f *fleet) learn(id topology.EdgeID, r *topology.Report) {
	f.mu.Lock()
	old := f.reports[id]
	// An answer of another start is news even if its clock says otherwise: that one has been set back.
	news := r.Newer(old) || !r.Started.Equal(old.Started)
	if news || r.Seq == old.Seq && r.Revision > old.Revision { // a new revision alone changes nothing but what status shows
		f.reports[id] = r
	}
	f.mu.Unlock()
	if news {
		f.kick()
	}
}

// lookShare bounds what looking takes while everything changes at once: at most one part in five of a processor.
const lookShare = 4

// run looks whenever it is kicked, and once a second in any case, until ctx ends.
func (f *fleet) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		began := time.Now()
		f.look()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(lookShare*time.Since(began), time.Second/4)):
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.kicks:
		case <-tick.C:
		}
	}
}

// look makes a new outlook from the snapshot, the verdicts and the reports. Only run calls it.
func (f *fleet) look() {
	snap := f.store.Load()
	o := &outlook{snapshot: snap, regions: map[regionPool]regionOutlook{}}
	o.edges = f.views(snap)
	f.followReports(snap, o.edges, time.Now())
	o.heard = f.heard()
	f.followUsage(o.edges)
	o.report = f.ownReport(snap)
	for i, e := range o.edges {
		if e.Edge.Name == f.self.Name {
			o.edges[i].Report = o.report
		}
	}
	o.clocks = f.clocks(snap)
	drained := drainedEdges(snap, o.edges)
	for _, r := range snapRegions(snap) {
		o.sites = append(o.sites, geo.Site{Region: r.Name, Latitude: r.Latitude, Longitude: r.Longitude})
		for _, p := range snap.Pools {
			o.regions[regionPool{r.Name, p.Name}] = serving(r.Name, p.Name, snap, o.edges, drained)
		}
	}
	old := f.outlook.Swap(o)
	if old.report.Seq != o.report.Seq {
		f.changed()
	}
}

func snapRegions(s *topology.Snapshot) []*topology.Region {
	if s == nil {
		return nil
	}
	return s.Regions
}

func addressesOf(edges []*topology.Edge) []netip.Addr {
	var out []netip.Addr
	for _, e := range edges {
		out = append(out, e.Addresses...)
	}
	return out
}

// views lists every edge with this edge's verdict on it and its newest report. The edge itself is always among them: it
// serves before the store knows it.
func (f *fleet) views(snap *topology.Snapshot) []health.EdgeView {
	f.mu.Lock()
	defer f.mu.Unlock()
	self := f.me()
	self.Leaving = f.ending()
	views := []health.EdgeView{{Edge: &self, Standing: health.Up}}
	seen := map[topology.EdgeID]bool{f.self.Name: true}
	if snap != nil {
		for _, e := range snap.Edges {
			if seen[e.Name] {
				continue
			}
			seen[e.Name] = true
			v := f.tracker.Verdict(edgeTarget + string(e.Name))
			r := f.reports[e.Name]
			if e.Report.Newer(r) {
				r = e.Report
			}
			views = append(views, health.EdgeView{Edge: e, Standing: v.State, Reason: v.Reason, Report: r})
		}
	}
	maps.DeleteFunc(f.reports, func(id topology.EdgeID, _ *topology.Report) bool { return !seen[id] })
	slices.SortFunc(views, func(a, b health.EdgeView) int { return compareIDs(a.Edge.Name, b.Edge.Name) })
	return views
}

func compareIDs(a, b topology.EdgeID) int {
	if a < b {
		return -1
	}
	return 1
}

// stateOf returns the state in a verdict as reports have it: "down: connect refused".
func stateOf(brief string) string {
	state, _, _ := strings.Cut(brief, ":")
	return state
}

// ownReport returns what this edge sees, with the sequence number of the last report where nothing has changed.
func (f *fleet) ownReport(snap *topology.Snapshot) *topology.Report {
	last := f.outlook.Load().report
	r := &topology.Report{Started: f.started, Seq: last.Seq, Stale: f.stale()}
	if snap != nil {
		r.Revision = snap.Revision
		for _, p := range snap.Pools {
			if up, total := f.table.Up(p.Name, f.self.Region); total > 0 {
				set(&r.Pools, p.Name, topology.PoolView{Up: up, Total: total})
			}
		}
	}
	accuse(r, f.tracker.All())
	r.Availability, r.Usage = f.ownUsage(snap, time.Now())
	if acks := f.acks(); len(acks) > 0 {
		r.Acks = acks[:min(len(acks), maxReportedAcks)]
	}
	// The revision alone is no news: it changes with every report that anybody publishes, and would make all edges
	// publish in turn for ever.
	same := *last
	same.Revision = r.Revision
	if last.Seq == 0 || !reflect.DeepEqual(&same, r) {
		r.Seq++
	}
	return r
}

// Bounds of a report, so that it stays below topology.MaxReportBytes, above which the others take the edge for down. A
// line is at most 63 bytes of name and, with its reason as JSON may have to write it, 900 more.
const (
	maxReasons     = 200
	maxAccusations = 10000
	// maxReportedAcks bounds the words on drains, of at most 450 bytes each. They are for status: edge drain --wait reads
	// all of them where they are published.
	maxReportedAcks = 250
)

// accuse enters every verdict that is against its target. Where there are very many, they stand without their reasons,
// and the last by name not at all: how many can be picked is told by the pools.
func accuse(r *topology.Report, verdicts map[string]health.Verdict) {
	maps.DeleteFunc(verdicts, func(_ string, v health.Verdict) bool { return v.CanPick() })
	for i, id := range slices.Sorted(maps.Keys(verdicts)) {
		brief := verdicts[id].Brief()
		switch {
		case i >= maxAccusations:
			return
		case i >= maxReasons:
			brief = verdicts[id].State.String()
		}
		if edge, ok := strings.CutPrefix(id, edgeTarget); ok {
			set(&r.Edges, topology.EdgeID(edge), brief)
		} else {
			set(&r.Nodes, topology.NodeID(id), brief)
		}
	}
}

func set[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// choose is the decision behind every DNS answer: the nearest region that can serve, and the addresses of its edges.
func (f *fleet) choose(name *topology.Name, client netip.Addr) (geo.Choice, []netip.Addr) {
	choice, out := f.chooseIn(f.outlook.Load(), name, client)
	return choice, out.addresses
}

func (f *fleet) chooseIn(o *outlook, name *topology.Name, client netip.Addr) (geo.Choice, regionOutlook) {
	sites := o.sites
	if len(name.Regions) > 0 {
		sites = nil
		for _, s := range o.sites {
			if name.Serves(s.Region) {
				sites = append(sites, s)
			}
		}
	}
	place := f.locator.Locate(client)
	choice := geo.Choose(place, sites, f.self.Region, func(r topology.RegionID) (bool, string) {
		out := o.regions[regionPool{r, name.Pool}]
		return out.canServe, out.reason
	})
	if choice.FailOpen {
		if drained, out, ok := f.drainedChoice(o, name, place, sites); ok {
			return drained, out
		}
	}
	out := o.regions[regionPool{choice.Region, name.Pool}].withoutDrains()
	if choice.FailOpen && len(out.addresses) == 0 {
		return f.lastResort(o, name, place, sites, choice)
	}
	return choice, out
}

// lastResort answers where no region can serve and the nearest has no edge at all: the nearest that has one.
func (f *fleet) lastResort(o *outlook, name *topology.Name, place geo.Place, sites []geo.Site, was geo.Choice) (geo.Choice, regionOutlook) {
	second := geo.Choose(place, sites, f.self.Region, func(r topology.RegionID) (bool, string) {
		return len(o.regions[regionPool{r, name.Pool}].withoutDrains().addresses) > 0, ""
	})
	for i := range was.Considered {
		was.Considered[i].Chosen = was.Considered[i].Region == second.Region
	}
	was.Region = second.Region
	return was, o.regions[regionPool{second.Region, name.Pool}].withoutDrains()
}
