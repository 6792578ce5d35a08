// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
)

// fixed64 is a field of wire type 1, text one of type 2.
func fixed64(number byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{number<<3 | wireFixed64}, math.Float64bits(v))
}

func text(number byte, s string) []byte {
	return append([]byte{number<<3 | wireBytes, byte(len(s))}, s...)
}

func message(fields ...[]byte) (b []byte) {
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

func entry64(key string, v float64) string { return string(message(text(1, key), fixed64(2, v))) }

func TestABinaryReportOfLoadIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want Reported
		ok   bool
	}{
		"nothing":       {nil, Reported{}, true},
		"all":           {message(fixed64(1, 0.3), fixed64(2, 0.9), fixed64(9, 0.5), text(5, entry64("q", 0.2)), text(8, entry64("r", 0.7)), text(8, entry64("s", 0.1))), Reported{CPU: 0.3, Application: 0.5, Named: 0.7}, true},
		"costs":         {message(text(4, entry64("db", 99)), fixed64(6, 1000), fixed64(7, 3), []byte{3<<3 | wireVarint, 0xac, 0x02}, []byte{20<<3&0x7f | wireFixed32 | 0x80, 1, 1, 2, 3, 4}, fixed64(1, 0.1)), Reported{CPU: 0.1}, true},
		"no shares":     {message(fixed64(1, -1), fixed64(9, math.NaN()), text(8, entry64("x", math.Inf(1)))), Reported{}, true},
		"cut":           {fixed64(1, 0.3)[:8], Reported{}, false},
		"too long":      {[]byte{8<<3 | wireBytes, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, Reported{}, false},
		"a broken map":  {text(8, "\x11"), Reported{}, false},
		"a group":       {[]byte{1<<3 | 3, 1<<3 | 4}, Reported{}, false},
		"field 0":       {[]byte{0, 0}, Reported{}, false},
		"no such type":  {[]byte{1<<3 | 7, 0}, Reported{}, false},
		"a long varint": {[]byte{3 << 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, Reported{}, false},
	} {
		if got, ok := ParseORCA(c.in); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, c.want, c.ok)
		}
	}
}

// TestABinaryReportIsReadAsOthersWriteIt has bytes as protoc --encode writes them for
// cpu_utilization: 0.25 application_utilization: 0.5 named_metrics { key: "queue" value: 0.75 }.
func TestABinaryReportIsReadAsOthersWriteIt(t *testing.T) {
	b, err := hex.DecodeString("09000000000000d03f" + "4210" + "0a057175657565" + "11000000000000e83f" + "49000000000000e03f")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := ParseORCA(b); !ok || got != (Reported{CPU: 0.25, Application: 0.5, Named: 0.75}) {
		t.Errorf("%+v, %v", got, ok)
	}
}

func FuzzParseORCA(f *testing.F) {
	f.Add(message(fixed64(1, 0.3), text(8, entry64("queue", 0.5))))
	f.Add([]byte{8<<3 | wireBytes, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := ParseORCA(b)
		if !(r.CPU >= 0 && r.Application >= 0 && r.Named >= 0) || math.IsInf(r.CPU+r.Application+r.Named, 0) && max(r.CPU, r.Application, r.Named) < math.MaxFloat64/4 {
			t.Errorf("%+v", r)
		}
		if again, same := ParseORCA(b); again != r || same != ok || !ok && r != (Reported{}) {
			t.Errorf("%+v, %v, then %+v, %v", r, ok, again, same)
		}
	})
}
