// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Mistake is one thing wrong with one field of one resource.
type Mistake struct {
	Key     Key    `json:"key"`
	Field   string `json:"field,omitempty"` // as in the value: "health_check.interval", "hosts[2]"; empty: the whole resource
	Message string `json:"message"`         // what is there and what is wanted
}

// Error implements error: "nodes/mcp-1: address: …". A key that is not a name is quoted, since anything may stand in etcd.
func (m Mistake) Error() string {
	key := m.Key.String()
	if strings.ContainsFunc(key, hidden) {
		key = strconv.Quote(clip(key))
	}
	if m.Field == "" {
		return key + ": " + m.Message
	}
	return key + ": " + m.Field + ": " + m.Message
}

// Bounds of what a resource may hold. Ours; each keeps one value well below etcd's 1.5 MiB and a table row readable.
const (
	maxNameBytes   = 63
	maxLabels      = 32
	maxLabelBytes  = 256
	maxHosts       = 64
	maxPathBytes   = 1024
	maxReasonBytes = 1024
	maxWeight      = 1000
)

// checker collects the mistakes of one resource.
type checker struct {
	key   Key
	found []Mistake
}

func (c *checker) mistake(field, format string, args ...any) {
	c.found = append(c.found, Mistake{c.key, field, fmt.Sprintf(format, args...)})
}

// name checks that s is a legal resource name.
func (c *checker) name(field, s string) {
	if !validName(s) {
		c.mistake(field, "%q is not a name; want 1 to %d lower-case letters, digits, '-' and '.', with a letter or digit at both ends", clip(s), maxNameBytes)
	}
}

// ref checks that a reference is set and resolves in set.
func (c *checker) ref(set Set, field string, kind Kind, name string) {
	if name == "" {
		return // check has already said that it is missing
	}
	if _, ok := set[Key{kind, name}]; !ok {
		c.mistake(field, "there is no %s %q", kind.Singular(), clip(name))
	}
}

func (c *checker) version(v Version) {
	if v < 0 || v > ValueVersion {
		c.mistake("version", "%d is not known to this program; want %d (a newer program wrote it: upgrade this one)", v, ValueVersion)
	}
}

func (c *checker) duration(field string, d Duration, low, high time.Duration) {
	if v := d.Std(); v != 0 && (v < low || v > high) {
		c.mistake(field, "%s is out of bounds; want %s to %s", v, low, high)
	}
}

func (c *checker) integer(field string, v, low, high int) {
	if v != 0 && (v < low || v > high) {
		c.mistake(field, "%d is out of bounds; want %d to %d", v, low, high)
	}
}

func (c *checker) ratio(field string, v, low, high float64) {
	if v != 0 && !(v >= low && v <= high) {
		c.mistake(field, "%v is out of bounds; want %v to %v", v, low, high)
	}
}

// address checks ip:port of something that an edge connects to: never a name, so that no look-up is on a request's way.
func (c *checker) address(field, s string) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		c.mistake(field, "%q is not an address; want IP:PORT, as in 10.0.0.7:8080 or [2001:db8::7]:8080", clip(s))
		return
	}
	c.reachable(field, ap.Addr())
}

// reachable refuses addresses that no node or edge can have. Link-local ones reach a cloud's metadata service.
func (c *checker) reachable(field string, a netip.Addr) {
	a = a.Unmap()
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		c.mistake(field, "%s is not the address of one machine", a)
	case a.IsLinkLocalUnicast():
		c.mistake(field, "%s is link-local, which is refused (it reaches metadata services)", a)
	case a.Zone() != "":
		c.mistake(field, "%s has a zone, which is refused", a)
	}
}

func (c *checker) labels(field string, m map[string]string) {
	if len(m) > maxLabels {
		c.mistake(field, "%d labels; at most %d", len(m), maxLabels)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		at := field + "." + clip(k)
		if !validName(k) {
			if strings.ContainsFunc(k, hidden) {
				at = field + "." + strconv.Quote(clip(k))
			}
			c.mistake(at, "%q is not a label's name", clip(k))
		}
		c.text(at, m[k], maxLabelBytes)
	}
}

// text checks free text: bounded, printable, no control bytes (it ends up in logs, tables and terminals).
func (c *checker) text(field, s string, most int) {
	if len(s) > most {
		c.mistake(field, "%d bytes; at most %d", len(s), most)
	}
	if strings.ContainsFunc(s, hidden) {
		c.mistake(field, "%s has a control or malformed character", strconv.Quote(clip(s)))
	}
}

// hidden reports whether r could make a terminal or a log show something else than what is there: control characters
// (C1 too), changes of the writing direction, line separators, and what stands for malformed UTF-8.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 || r == 0xfffd
}

// validName reports whether s is 1 to 63 bytes of [a-z0-9.-] with a letter or digit at both ends and no empty label.
func validName(s string) bool {
	if len(s) == 0 || len(s) > maxNameBytes || strings.Contains(s, "..") {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && (i == 0 || i == len(s)-1 || (s[i] != '-' && s[i] != '.')) {
			return false
		}
	}
	return true
}

// validHost reports whether s is a lower-case DNS name without a final dot, as RFC 1123, section 2.1 allows for hosts.
func validHost(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			if !isAlnum(label[i]) && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}

func isAlnum(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

// clip bounds what an error repeats of a stranger's text.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
