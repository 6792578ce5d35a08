// SPDX-License-Identifier: Apache-2.0

package topology

import "reflect"

// Diff is what changed from one snapshot to another.
type Diff struct {
	Added, Changed, Removed []Key // in the order of Set.Sorted
}

// Empty reports whether nothing changed.
func (d Diff) Empty() bool { return len(d.Added)+len(d.Changed)+len(d.Removed) == 0 }

// Compare returns what changed from s to next. Either may be nil.
func (s *Snapshot) Compare(next *Snapshot) Diff {
	var d Diff
	for _, r := range next.all().Sorted() {
		old := s.Get(r.Key())
		switch {
		case old == nil:
			d.Added = append(d.Added, r.Key())
		case old != r && !reflect.DeepEqual(old, r):
			d.Changed = append(d.Changed, r.Key())
		}
	}
	for _, r := range s.all().Sorted() {
		if next.Get(r.Key()) == nil {
			d.Removed = append(d.Removed, r.Key())
		}
	}
	return d
}

func (s *Snapshot) all() Set {
	if s == nil {
		return nil
	}
	return s.index
}
