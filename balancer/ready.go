// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"slices"
)

// class is as what a node of a group can be picked.
type class uint8

// The classes, and how often there are any.
const (
	classUp class = iota
	classOverflow
	classUnknown
	classEjected
	classDown
	classRefused
	classReserve // drained with its region, and would be picked otherwise
	classSpent   // the same, and would not
	classes
)

// classOf returns the class of a node that isn't drained, leaving or gone. One that is drained with its region is none of those that
// make a tier's panic.
func classOf(e *entry) class {
	standing := Standing(e.state.standing.Load())
	if e.state.flags.Load()&flagReserve != 0 {
		if isOut(standing) {
			return classSpent
		}
		return classReserve
	}
	switch standing {
	case StandingUp:
		if e.overflow {
			return classOverflow
		}
		return classUp
	case StandingDown:
		return classDown
	case StandingEjected:
		return classEjected
	case StandingRefused:
		return classRefused
	}
	return classUnknown
}

// list is nodes that can be picked alike, sorted by name. Immutable.
type list struct {
	nodes  []*entry
	weight int   // sum of theirs
	of     uint8 // a bit for each class that is in it
}

// has reports whether a node of the group is in the list.
func (l *list) has(e *entry) bool { return e.listed() && l.of>>classOf(e)&1 != 0 }

// listed reports whether the node is in one of the lists of its group.
func (e *entry) listed() bool { return e.state.flags.Load()&^flagReserve == 0 }

// panicLevel is what is ignored of a group's nodes because too few of them are up: fewer than half.
type panicLevel uint8

// The levels. A drain is never ignored.
const (
	calm        panicLevel = iota
	ignoreBans             // those that were ejected for what requests have seen are picked as if they were up
	ignoreCheck            // those that fail their checks, too: rather the check is wrong than everybody
)

// ready holds the nodes of a group by class, so that a pick looks at no others. Immutable.
type ready struct {
	by    [classes]list
	panic panicLevel
	up    list // those of classUp, in panic with others
}

// demand is what a pick demands of a node.
type demand uint8

// The demands, each with less than the one before.
const (
	demandSoft  demand = iota // below the pool's utilization
	demandHard                // below its limits
	demandLeast               // and it may be half-open with a request out
)

// stages are what a pick goes through, in order: each over all tiers.
var stages = [...]struct {
	demand demand
	class  class
	by     pickedBy
	// allowed are the flags of a node that don't keep it from being picked.
	allowed uint32
}{
	{demandSoft, classUp, 0, 0}, {demandSoft, classOverflow, byOverflow, 0},
	{demandHard, classUp, byAbove, 0}, {demandHard, classOverflow, byOverflow | byAbove, 0}, {demandHard, classUnknown, byUnknown, 0},
	{demandLeast, classUp, byCrowd, 0}, {demandLeast, classOverflow, byOverflow | byCrowd, 0},
	{demandLeast, classRefused, byRefused, 0}, {demandLeast, classReserve, byReserve, flagReserve},
}

func (r *ready) list(c class) *list {
	if c == classUp {
		return &r.up
	}
	return &r.by[c]
}

// compile makes the lists of ready nodes from all. The caller holds Table.mu, and calls pool.settle.
func (g *group) compile() {
	r := &ready{}
	for c := range r.by {
		r.by[c].of = 1 << c
	}
	for _, e := range g.all {
		if e.listed() {
			l := &r.by[classOf(e)]
			l.nodes = append(l.nodes, e)
			l.weight += int(e.weight)
		}
	}
	r.up = r.by[classUp]
	g.ready.Store(r)
}

// move puts a node whose standing has changed into the lists where it belongs now. It copies lists instead of going
// through all nodes, which at 10,000 would cost a hundred times as much. The caller holds Table.mu, and calls pool.settle.
func (g *group) move(e *entry) {
	next := *g.ready.Load()
	for c := range next.by {
		next.by[c] = next.by[c].without(e)
	}
	up := next.up.without(e)
	if e.listed() {
		c := classOf(e)
		next.by[c] = next.by[c].with(e)
		if up.of>>c&1 != 0 {
			up = up.with(e)
		}
	}
	if next.up = next.by[classUp]; next.panic != calm {
		next.up = up
	}
	g.ready.Store(&next)
}

// fill makes up from the classes.
func (r *ready) fill() {
	r.up = r.by[classUp]
	if r.panic >= ignoreBans {
		r.up = r.up.merge(r.by[classEjected])
	}
	if r.panic >= ignoreCheck {
		r.up = r.up.merge(r.by[classDown])
	}
}

// settle decides for each group whether it is in panic: with fewer than half of its nodes up, bans are ignored; if that is not enough,
// and the pool's other groups, overflow nodes and fallback can't make up for it either, checks are. Nodes not yet checked
// don't count: a moment later they are. Nor do those that refuse connections, which nothing is sent to while another is up. The
// caller holds Table.mu.
func (p *pool) settle() {
	rooms, spare := 0.0, p.spec.FallbackPool != ""
	for _, g := range p.groups {
		r := g.ready.Load()
		up, ejected, down := r.counts()
		if total := up + ejected + down; total > 0 {
			rooms += min(1, overProvision*float64(up)/float64(total))
		}
		spare = spare || len(r.by[classOverflow].nodes)+len(r.by[classUnknown].nodes) > 0
	}
	for _, g := range p.groups {
		r := g.ready.Load()
		up, ejected, down := r.counts()
		total, level := up+ejected+down, calm
		switch {
		case 2*up >= total:
		case 2*(up+ejected) >= total || rooms >= 1 || spare:
			level = ignoreBans
		default:
			level = ignoreCheck
		}
		if level != r.panic {
			next := *r
			next.panic = level
			next.fill()
			g.ready.Store(&next)
		}
	}
}

func (r *ready) counts() (up, ejected, down int) {
	return len(r.by[classUp].nodes), len(r.by[classEjected].nodes), len(r.by[classDown].nodes)
}

func byPlace(a, b *entry) int { return cmp.Compare(a.place, b.place) }

// without returns the list without the node; the list itself, which readers may hold, is not changed.
func (l list) without(e *entry) list {
	i, found := slices.BinarySearchFunc(l.nodes, e, byPlace)
	if !found {
		return l
	}
	l.nodes = slices.Concat(l.nodes[:i], l.nodes[i+1:])
	l.weight -= int(e.weight)
	return l
}

// with returns the list with the node, in its place; the list itself is not changed.
func (l list) with(e *entry) list {
	i, _ := slices.BinarySearchFunc(l.nodes, e, byPlace)
	l.nodes = slices.Concat(l.nodes[:i], []*entry{e}, l.nodes[i:])
	l.weight += int(e.weight)
	return l
}

// merge returns a list of both; the lists themselves are not changed.
func (l list) merge(o list) list {
	merged := list{weight: l.weight + o.weight, of: l.of | o.of}
	switch {
	case len(o.nodes) == 0:
		merged.nodes = l.nodes
		return merged
	case len(l.nodes) == 0:
		merged.nodes = o.nodes
		return merged
	}
	merged.nodes = make([]*entry, 0, len(l.nodes)+len(o.nodes))
	a, b := l.nodes, o.nodes
	for len(a) > 0 && len(b) > 0 {
		if byPlace(a[0], b[0]) <= 0 {
			merged.nodes, a = append(merged.nodes, a[0]), a[1:]
		} else {
			merged.nodes, b = append(merged.nodes, b[0]), b[1:]
		}
	}
	merged.nodes = append(append(merged.nodes, a...), b...)
	return merged
}
