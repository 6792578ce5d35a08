// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"slices"
	"strings"
)

// Set is a collection of resources by key, on its way to becoming a Snapshot. Not safe for concurrent change.
type Set map[Key]Resource

// Put adds or replaces a resource.
func (s Set) Put(r Resource) { s[r.Key()] = r }

// Sorted returns the resources in the order of Kinds, then of names.
func (s Set) Sorted() []Resource {
	out := make([]Resource, 0, len(s))
	for _, r := range s {
		out = append(out, r)
	}
	order := map[Kind]int{}
	for i, k := range Kinds {
		order[k] = i
	}
	slices.SortFunc(out, func(a, b Resource) int {
		ka, kb := a.Key(), b.Key()
		if ka.Kind != kb.Kind {
			return order[ka.Kind] - order[kb.Kind]
		}
		return strings.Compare(ka.Name, kb.Name)
	})
	return out
}

// CheckWhole returns every reference between the resources that does not resolve and every pair that contradicts
// another. The resources' own fields are Check's.
func (s Set) CheckWhole() []Mistake {
	var found []Mistake
	for _, r := range s.Sorted() {
		c := checker{key: r.Key()}
		r.refs(s, &c)
		found = append(found, c.found...)
	}
	return append(found, s.checkZones()...)
}

// checkZones refuses a name that lies in the zone of another name which is below its own: an authority whose zones nest
// would have to delegate to itself.
func (s Set) checkZones() []Mistake {
	zones := map[NameID]bool{}
	for _, r := range s {
		if n, ok := r.(*Name); ok {
			zones[n.EffectiveZone()] = true
		}
	}
	var found []Mistake
	for _, r := range s.Sorted() {
		n, ok := r.(*Name)
		if !ok {
			continue
		}
		for z := n.Name; len(z) > len(n.EffectiveZone()); {
			if zones[z] {
				found = append(found, Mistake{n.Key(), "zone", "the name also lies in the zone " + string(z) + " of another name; put both into one zone"})
				break
			}
			_, rest, _ := strings.Cut(string(z), ".")
			z = NameID(rest)
		}
	}
	return found
}
