// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// MaxRuns bounds the runs of each family in a Table: about 0.5 GiB of memory. The largest public city database has some
// 5 million.
const MaxRuns = 32 << 20

// Builder makes a Table from prefixes in ascending order. What lies between them is unknown. Owned by one goroutine.
type Builder struct {
	t     *Table
	ids   map[Place]uint32
	next4 uint64 // first address not yet covered; 1<<32 when all are
	next6 uint64
	full6 bool // all of IPv6 is covered, which next6 cannot say
}

// NewBuilder returns an empty Builder; source and built are what the Table's Source and Built return.
func NewBuilder(source string, built time.Time) *Builder {
	t := &Table{places: make([]Place, idPlaces), built: built.UTC(), source: source}
	for i := range t.places {
		t.places[i].Source = source
	}
	return &Builder{t: t, ids: map[Place]uint32{}}
}

// Add says that every address of p is at place, of which Prefix and Source are ignored. Prefixes must come in ascending
// order within each family and not overlap, else the error says which one. Of IPv6 prefixes longer than /64, the first
// within its /64 speaks for it and the others are passed over; so is every prefix within a range that carries IPv4
// addresses (see Locate), of which the IPv4 prefixes decide.
func (b *Builder) Add(p netip.Prefix, place Place) error {
	if !p.IsValid() {
		return errors.New("add: no valid prefix")
	}
	p = p.Masked()
	if carried(p) {
		return nil
	}
	id := b.place(place)
	if p.Addr().Is4() {
		return b.add4(p, id)
	}
	return b.add6(p, id)
}

func (b *Builder) place(p Place) uint32 {
	p.Prefix, p.Source = netip.Prefix{}, b.t.source
	if p == b.t.places[idUnknown] {
		return idUnknown
	}
	id, ok := b.ids[p]
	if !ok {
		id = uint32(len(b.t.places))
		b.ids[p] = id
		b.t.places = append(b.t.places, p)
	}
	return id
}

func (b *Builder) add4(p netip.Prefix, id uint32) error {
	a := p.Addr().As4()
	start := binary.BigEndian.Uint32(a[:])
	if uint64(start) < b.next4 {
		return fmt.Errorf("add %v: overlaps the prefix before it, or is out of order", p)
	}
	if uint64(start) > b.next4 {
		b.t.v4.add(uint32(b.next4), idUnknown)
	}
	b.t.v4.add(start, id)
	b.next4 = uint64(start) + 1<<(32-p.Bits())
	return b.bounded(len(b.t.v4.start))
}

func (b *Builder) add6(p netip.Prefix, id uint32) error {
	a := p.Addr().As16()
	start := binary.BigEndian.Uint64(a[:8])
	size := uint64(1) << (64 - min(p.Bits(), 64)) // 0 stands for 1<<64
	if b.full6 || start < b.next6 {
		if p.Bits() > 64 && (b.full6 || start == b.next6-1) {
			return nil
		}
		return fmt.Errorf("add %v: overlaps the prefix before it, or is out of order", p)
	}
	if start > b.next6 {
		b.t.v6.add(b.next6, idUnknown)
	}
	b.t.v6.add(start, id)
	b.next6 = start + size
	b.full6 = b.next6 == 0
	return b.bounded(len(b.t.v6.start))
}

func (b *Builder) bounded(n int) error {
	if n > MaxRuns {
		return fmt.Errorf("more than %d runs of addresses", MaxRuns)
	}
	return nil
}

// Table returns the finished table. The Builder must not be used again.
func (b *Builder) Table() *Table {
	if b.next4 < 1<<32 {
		b.t.v4.add(uint32(b.next4), idUnknown)
	}
	if !b.full6 {
		b.t.v6.add(b.next6, idUnknown)
	}
	return b.t.seal()
}

// seal makes the runs of t ready for lookups.
func (t *Table) seal() *Table {
	t.forget()
	t.v6 = carve(t.v6)
	t.v4.index()
	t.v6.index()
	return t
}
