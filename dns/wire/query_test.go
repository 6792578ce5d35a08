// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
)

// packed returns the bytes of a query for name with every option set by the functions.
func packed(t testing.TB, name string, qtype uint16, with ...func(*mdns.Msg)) []byte {
	t.Helper()
	m := new(mdns.Msg)
	m.Id = 0x1234
	m.Question = []mdns.Question{{Name: name, Qtype: qtype, Qclass: mdns.ClassINET}}
	for _, f := range with {
		f(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edns(options ...mdns.EDNS0) func(*mdns.Msg) {
	return func(m *mdns.Msg) {
		m.SetEdns0(4096, true)
		m.IsEdns0().Option = options
	}
}

func TestAQueryIsReadAsItWasSpelled(t *testing.T) {
	b := packed(t, "mCp.EdGe.test.", TypeAAAA, edns(&mdns.EDNS0_NSID{Code: mdns.EDNS0NSID}), func(m *mdns.Msg) { m.RecursionDesired = true })
	var q Query
	if err := q.Parse(b); err != nil {
		t.Fatal(err)
	}
	if q.ID != 0x1234 || !q.RD || q.Opcode != 0 || q.Type != TypeAAAA || q.Class != ClassIN || q.Size != len(b) {
		t.Errorf("got %+v", q)
	}
	if got, want := string(q.Name), "\x03mCp\x04EdGe\x04test\x00"; got != want {
		t.Errorf("got name %q, want %q", got, want)
	}
	if !bytes.Equal(q.Question, b[12:12+len(q.Name)+4]) {
		t.Errorf("got question %x", q.Question)
	}
	if !q.EDNS || q.UDPSize != 4096 || !q.DO || !q.NSID || q.Subnet.Present() {
		t.Errorf("got EDNS %+v", q)
	}
}

func TestEveryProperPrefixOfAQueryIsRefused(t *testing.T) {
	b := packed(t, "mcp.edge.test.", TypeA, edns(&mdns.EDNS0_NSID{Code: mdns.EDNS0NSID, Nsid: "aabb"}, &mdns.EDNS0_COOKIE{Code: mdns.EDNS0COOKIE, Cookie: "0011223344556677"}))
	for n := range b {
		want := ErrFormat
		if n < HeaderBytes {
			want = ErrIgnore
		}
		var q Query
		if err := q.Parse(b[:n:n]); err != want {
			t.Errorf("%d of %d bytes: got %v, want %v", n, len(b), err, want)
		}
	}
	var q Query
	if err := q.Parse(append(b, 0)); err != ErrFormat {
		t.Errorf("one byte too many: got %v, want %v", err, ErrFormat)
	}
}

func TestMalformedQueriesAreRefused(t *testing.T) {
	const opt = "00 0029 1000 00000000 "
	const question = "03 777777 00 0001 0001 "
	cases := []struct {
		name, hex string
		want      error
	}{
		{"a whole query", "0100 0001 0000 0000 0000" + question, nil},
		{"a pointer to itself", "0100 0001 0000 0000 0000 c00c 0001 0001", ErrFormat},
		{"a pointer forwards", "0100 0001 0000 0000 0000 c01c 0001 0001", ErrFormat},
		{"a pointer into the header", "0100 0001 0000 0000 0000 c004 0001 0001", ErrFormat},
		{"a pointer behind a label", "0100 0001 0000 0000 0000 0161 c00c 0001 0001", ErrFormat},
		{"a reserved label type", "0100 0001 0000 0000 0000 40" + strings.Repeat("61", 64) + "00 0001 0001", ErrFormat},
		{"another reserved label type", "0100 0001 0000 0000 0000 80" + strings.Repeat("61", 64) + "00 0001 0001", ErrFormat},
		{"a name of 255 bytes", "0100 0001 0000 0000 0000" + strings.Repeat("0161", 127) + "00 0001 0001", nil},
		{"a name of 257 bytes", "0100 0001 0000 0000 0000" + strings.Repeat("0161", 128) + "00 0001 0001", ErrFormat},
		{"no question", "0100 0000 0000 0000 0000", ErrFormat},
		{"no question, but one is there", "0100 0000 0000 0000 0000" + question, ErrFormat},
		{"two questions", "0100 0002 0000 0000 0000" + question + question, ErrFormat},
		{"65535 questions", "0100 ffff 0000 0000 0000" + question, ErrFormat},
		{"a question that is not there", "0100 0001 0000 0000 0000", ErrFormat},
		{"an answer", "8180 0001 0000 0000 0000" + question, ErrIgnore},
		{"opcode 15", "7900 0001 0000 0000 0000" + question, ErrOpcode},
		{"NOTIFY", "2400 0001 0000 0000 0000" + question, ErrOpcode},
		{"UPDATE", "2800 0001 0000 0000 0000" + question, ErrOpcode},
		{"a record in the answer section", "0100 0001 0001 0000 0000" + question + "c00c 0001 0001 00000000 0004 01020304", ErrFormat},
		{"a record in the authority section", "0100 0001 0000 0001 0000" + question + "c00c 0001 0001 00000000 0004 01020304", ErrFormat},
		{"an unknown additional record", "0100 0001 0000 0000 0001" + question + "c00c ff01 0001 00000000 0004 01020304", nil},
		{"a record whose owner points forwards", "0100 0001 0000 0000 0001" + question + "c020 ff01 0001 00000000 0004 01020304", ErrFormat},
		{"a record whose data runs out", "0100 0001 0000 0000 0001" + question + "c00c ff01 0001 00000000 0005 01020304", ErrFormat},
		{"65535 records", "0100 0001 0000 0000 ffff" + question + opt + "0000", ErrFormat},
		{"OPT", "0100 0001 0000 0000 0001" + question + opt + "0000", nil},
		{"two OPT", "0100 0001 0000 0000 0002" + question + opt + "0000" + opt + "0000", ErrFormat},
		{"OPT of another owner", "0100 0001 0000 0000 0001" + question + "0161" + opt + "0000", ErrFormat},
		{"OPT whose owner is a pointer", "0100 0001 0000 0000 0001" + question + "c010 0029 1000 00000000 0000", ErrFormat},
		{"EDNS version 100", "0100 0001 0000 0000 0001" + question + "00 0029 1000 00640000 0000", ErrVersion},
		{"EDNS version 100 with a malformed option", "0100 0001 0000 0000 0001" + question + "00 0029 1000 00640000 0003 000800", ErrVersion},
		{"all flags of EDNS", "0100 0001 0000 0000 0001" + question + "00 0029 1000 0000ffff 0000", nil},
		{"an unknown option", "0100 0001 0000 0000 0001" + question + opt + "0008 0064 0004 01020304", nil},
		{"an option that runs out", "0100 0001 0000 0000 0001" + question + opt + "0008 0064 0005 01020304", ErrFormat},
		{"half an option's head", "0100 0001 0000 0000 0001" + question + opt + "0003 006400", ErrFormat},
		{"a cookie of 8 bytes", "0100 0001 0000 0000 0001" + question + opt + "000c 000a 0008 0102030405060708", nil},
		{"a cookie of 7 bytes", "0100 0001 0000 0000 0001" + question + opt + "000b 000a 0007 01020304050607", ErrFormat},
		{"a cookie of 12 bytes", "0100 0001 0000 0000 0001" + question + opt + "0010 000a 000c 0102030405060708 01020304", ErrFormat},
		{"a cookie of 41 bytes", "0100 0001 0000 0000 0001" + question + opt + "002d 000a 0029" + strings.Repeat("01", 41), ErrFormat},
	}
	for _, c := range cases {
		b, err := hex.DecodeString("1234" + strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var q Query
		if got := q.Parse(b); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAMessageFullOfPointersIsReadOnce(t *testing.T) {
	b := packed(t, "a.test.", TypeA)
	b[10], b[11] = 0xff, 0xff
	for len(b)+12 < MaxMessageBytes {
		b = append(b, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"...)
	}
	var q Query
	if err := q.Parse(b); err != ErrFormat {
		t.Errorf("got %v, want %v", err, ErrFormat)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packed(f, "mcp.edge.test.", TypeA))
	f.Add(packed(f, "mcp.edge.test.", TypeA, edns(&mdns.EDNS0_NSID{Code: mdns.EDNS0NSID}, &mdns.EDNS0_SUBNET{Code: mdns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{81, 2, 69, 0}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Query
		err := q.Parse(b)
		if err == nil && (len(q.Question) == 0 || !bytes.HasPrefix(b[HeaderBytes:], q.Question)) {
			t.Fatalf("a query without its question: %x", b)
		}
		// What is taken must be understood alike by another reader; where the two differ, it is in unknown records' data.
		if err == nil && b[10] == 0 && b[11] == 0 {
			var m mdns.Msg
			if err := m.Unpack(b); err != nil {
				t.Fatalf("%x: another reader says %v", b, err)
			}
		}
		if err != nil && !errors.Is(err, ErrIgnore) && len(b) < HeaderBytes {
			t.Fatalf("%x is too short for %v", b, err)
		}
	})
}
