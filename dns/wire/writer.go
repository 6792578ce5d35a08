// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"
)

// Section is where a record goes. Records must be written in the order of the sections.
type Section int

// The sections behind the question.
const (
	Answer Section = iota
	Authority
	Additional
)

// Suffix is the length in wire form, root label included, of a name that is the end of the asked name: the whole of it,
// or the apex of its zone. Such names are written as pointers into the question and so keep the asker's case.
type Suffix int

// Name is Labels (wire form, no root label, may be empty) in front of Suffix.
type Name struct {
	Labels []byte
	Suffix Suffix
}

// Reply is what remains to be said of an answer once its records are written.
type Reply struct {
	Rcode         uint16 // with all 12 bits of RFC 6891, section 6.1.3
	Authoritative bool
	EDE           uint16 // RFC 8914; EDENone: none
	Scope         uint8  // of the Client Subnet option (RFC 7871, section 6)
	NSID          string // sent if the query asked for it
}

// Writer writes one answer into a buffer. Not safe for concurrent use.
type Writer struct {
	q      Query // a copy: a pointer would move every query to the heap
	buf    []byte
	start  int // where the message begins in buf
	base   int // behind the question
	limit  int
	counts [3]uint16
}

// NewWriter starts the answer to q behind dst. limit bounds the whole message in bytes, OPT included. If the question could
// not be read, the answer is a header alone.
func NewWriter(dst []byte, q *Query, limit int) Writer {
	w := Writer{q: *q, buf: dst, start: len(dst), limit: limit}
	w.buf = append(w.buf, make([]byte, HeaderBytes)...)
	w.buf = append(w.buf, q.Question...)
	w.base = len(w.buf)
	return w
}

// Left returns how many bytes of records may still be written if the answer ends with r.
func (w *Writer) Left(r Reply) int { return w.limit - (len(w.buf) - w.start) - w.optBytes(r) }

// Reset takes all records out again.
func (w *Writer) Reset() {
	w.buf, w.counts = w.buf[:w.base], [3]uint16{}
}

// Mark returns a point to go Back to, so that a set of records can be written whole or not at all.
func (w *Writer) Mark() Mark { return Mark{len(w.buf), w.counts} }

// Mark is a state of a Writer.
type Mark struct {
	length int
	counts [3]uint16
}

// Back takes out what was written since m.
func (w *Writer) Back(m Mark) { w.buf, w.counts = w.buf[:m.length], m.counts }

// Address writes an A or AAAA record owned by owner.
func (w *Writer) Address(s Section, owner Name, ttl uint32, a netip.Addr) {
	if a.Is4() {
		b := a.As4()
		w.data(w.head(s, owner, TypeA, ttl), b[:])
		return
	}
	b := a.As16()
	w.data(w.head(s, owner, TypeAAAA, ttl), b[:])
}

// NS writes an NS record.
func (w *Writer) NS(s Section, owner Name, ttl uint32, host Name) {
	at := w.head(s, owner, TypeNS, ttl)
	w.name(host)
	w.close(at)
}

// SOA is the data of a SOA record (RFC 1035, section 3.3.13); times in seconds.
type SOA struct {
	Primary, Mailbox                        Name
	Serial, Refresh, Retry, Expire, Minimum uint32
}

// SOA writes a SOA record.
func (w *Writer) SOA(s Section, owner Name, ttl uint32, soa SOA) {
	at := w.head(s, owner, TypeSOA, ttl)
	w.name(soa.Primary)
	w.name(soa.Mailbox)
	for _, v := range [...]uint32{soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minimum} {
		w.buf = binary.BigEndian.AppendUint32(w.buf, v)
	}
	w.close(at)
}

// HINFO writes a HINFO record; cpu and os of at most 255 bytes each.
func (w *Writer) HINFO(s Section, owner Name, ttl uint32, cpu, os string) {
	at := w.head(s, owner, TypeHINFO, ttl)
	w.buf = append(append(w.buf, byte(len(cpu))), cpu...)
	w.buf = append(append(w.buf, byte(len(os))), os...)
	w.close(at)
}

// head writes a record's owner, type, class and TTL and room for the length, and returns where the data begins.
func (w *Writer) head(s Section, owner Name, typ uint16, ttl uint32) int {
	w.counts[s]++
	w.name(owner)
	w.buf = binary.BigEndian.AppendUint16(w.buf, typ)
	w.buf = binary.BigEndian.AppendUint16(w.buf, ClassIN)
	w.buf = binary.BigEndian.AppendUint32(w.buf, ttl)
	w.buf = append(w.buf, 0, 0)
	return len(w.buf)
}

func (w *Writer) data(at int, b []byte) {
	w.buf = append(w.buf, b...)
	w.close(at)
}

func (w *Writer) close(at int) {
	binary.BigEndian.PutUint16(w.buf[at-2:], uint16(len(w.buf)-at))
}

// name writes labels and a pointer into the question (RFC 1035, section 4.1.4). The root needs no pointer.
func (w *Writer) name(n Name) {
	w.buf = append(w.buf, n.Labels...)
	if n.Suffix <= 1 {
		w.buf = append(w.buf, 0)
		return
	}
	w.buf = binary.BigEndian.AppendUint16(w.buf, 0xc000|uint16(HeaderBytes+len(w.q.Name)-int(n.Suffix)))
}

// Finish writes the header and, if the query had one, the OPT record, and returns the buffer. If the records are more than
// fit, the answer has none and TC is set: half a set of records would be taken for the whole (RFC 2181, section 9).
func (w *Writer) Finish(r Reply) (out []byte, truncated bool) {
	if w.Left(r) < 0 && w.counts != [3]uint16{} {
		w.Reset()
		truncated = true
	}
	h := w.buf[w.start : w.start+HeaderBytes]
	binary.BigEndian.PutUint16(h, w.q.ID)
	h[2] = 0x80 | w.q.Opcode<<3
	h[3] = byte(r.Rcode & 0xf)
	if r.Authoritative {
		h[2] |= 4
	}
	if truncated {
		h[2] |= 2
	}
	if w.q.RD {
		h[2] |= 1
	}
	if len(w.q.Question) > 0 {
		h[5] = 1
	}
	if w.q.EDNS {
		w.counts[Additional]++
	}
	for i, n := range w.counts {
		binary.BigEndian.PutUint16(h[6+2*i:], n)
	}
	if w.q.EDNS {
		w.opt(r)
	}
	return w.buf, truncated
}

// opt writes the OPT record. MBZ flags and unknown options are not repeated (RFC 6891, section 6.1.4).
func (w *Writer) opt(r Reply) {
	w.buf = append(w.buf, 0, 0, byte(TypeOPT))
	w.buf = binary.BigEndian.AppendUint16(w.buf, MaxUDPBytes)
	w.buf = append(w.buf, byte(r.Rcode>>4), 0, 0, 0)
	if w.q.DO {
		w.buf[len(w.buf)-2] = 0x80
	}
	w.buf = append(w.buf, 0, 0)
	at := len(w.buf)
	if s := &w.q.Subnet; s.Present() {
		w.option(optionSubnet, len(s.raw))
		w.buf = append(w.buf, s.raw...)
		w.buf[len(w.buf)-len(s.raw)+3] = r.Scope
	}
	if w.q.NSID && r.NSID != "" {
		w.option(optionNSID, len(r.NSID))
		w.buf = append(w.buf, r.NSID...)
	}
	if r.EDE != EDENone {
		w.option(optionEDE, 2)
		w.buf = binary.BigEndian.AppendUint16(w.buf, r.EDE)
	}
	w.close(at)
}

func (w *Writer) option(code uint16, n int) {
	w.buf = binary.BigEndian.AppendUint16(w.buf, code)
	w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(n))
}

// optBytes returns the size of the OPT record that opt writes.
func (w *Writer) optBytes(r Reply) int {
	if !w.q.EDNS {
		return 0
	}
	n := 11
	if w.q.Subnet.Present() {
		n += 4 + len(w.q.Subnet.raw)
	}
	if w.q.NSID && r.NSID != "" {
		n += 4 + len(r.NSID)
	}
	if r.EDE != EDENone {
		n += 6
	}
	return n
}
