// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"meridian/balancer"
	"meridian/proxy/http1"
	"meridian/topology"
)

// maxLoggedPath bounds the path in a line of the access log, and maxLoggedText every other text of a stranger.
const (
	maxLoggedPath = 256
	maxLoggedText = 256
)

// record is what is noted of a request for the access log and the metrics.
type record struct {
	status    int
	firstByte time.Duration // from the request's first byte to the node's answer, 0 if none came
	bytesIn   int64
	bytesOut  int64
	tries     int
	node      topology.NodeID
	upgrade   string // the protocol of the tunnel that it became, or ""
	err       string
	why       balancer.Why // of the last try, where somebody is told of it
	attempts  []Attempt    // those before it
	own       bool         // the answer is the edge's own
	aborted   bool
}

// finish counts and logs a request.
func (s *Server) finish(r *relay) {
	took := time.Since(r.x.Received)
	m := r.metrics
	if m == nil {
		m = s.metrics.of("")
	}
	m.done(&r.record, took)
	if !s.log.on() {
		return
	}
	l := line{id: r.id, at: r.x.Received, client: r.x.ClientIP, method: r.x.Method, host: r.x.Host, path: r.x.Path, took: took}
	if r.route != nil {
		l.route, l.pool = string(r.route.Name), string(r.route.Pool)
	}
	r.record.bytesIn += r.upload.bytes
	s.log.add(&l, &r.record)
}

// refused is told by the engine of a request that it did not take.
func (s *Server) refused(client netip.AddrPort, f *http1.Refusal) {
	s.metrics.refused.Inc()
	if !s.log.on() {
		return
	}
	s.log.add(&line{at: time.Now(), client: client.Addr().String()}, &record{status: f.Status, err: f.Reason, own: true})
}

// line is the part of a log line that record doesn't have.
type line struct {
	id                                      string
	at                                      time.Time
	client, method, host, path, route, pool string
	took                                    time.Duration
}

// append writes the line as one JSON object and a line feed. encoding/json would allocate for each request.
func (l *line) append(b []byte, d *record) []byte {
	b = append(b, `{"time":"`...)
	b = l.at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	if l.id != "" {
		b = appendText(b, "id", l.id, maxLoggedText)
	}
	b = appendText(b, "client", l.client, maxLoggedText)
	b = appendText(b, "method", l.method, maxLoggedText)
	b = appendText(b, "host", l.host, maxLoggedText)
	b = appendText(b, "path", l.path, maxLoggedPath)
	b = appendInt(b, "status", int64(d.status))
	b = appendInt(b, "bytes_in", d.bytesIn)
	b = appendInt(b, "bytes_out", d.bytesOut)
	b = appendMillis(b, "duration_ms", l.took)
	b = appendMillis(b, "ttfb_ms", d.firstByte)
	b = appendText(b, "route", l.route, maxLoggedText)
	b = appendText(b, "pool", l.pool, maxLoggedText)
	b = appendText(b, "node", string(d.node), maxLoggedText)
	b = appendInt(b, "tries", int64(d.tries))
	b = d.appendWhy(b)
	if d.upgrade != "" {
		b = appendText(b, "upgrade", d.upgrade, maxLoggedText)
	}
	if d.aborted {
		b = append(b, `,"aborted":true`...)
	}
	if d.err != "" {
		b = appendText(b, "err", d.err, maxLoggedText)
	}
	return append(b, '}', '\n')
}

func appendInt(b []byte, key string, v int64) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, v, 10)
}

func appendMillis(b []byte, key string, d time.Duration) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', 3, 64)
}

// appendText appends a JSON string of at most most bytes of s. Bytes that are no UTF-8 are written as U+FFFD.
func appendText(b []byte, key, s string, most int) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':', '"')
	if len(s) > most {
		s = s[:most]
	}
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			rune, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, rune)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// appendWhy appends by what the node was picked, in the words of balancer.Why.Append, and the tries before it that have failed.
func (d *record) appendWhy(b []byte) []byte {
	if d.why.Node != "" {
		b = append(d.why.Append(append(b, `,"why":"`...)), '"')
	}
	for i := range d.attempts {
		if i == 0 {
			b = append(b, `,"failed":[`...)
		} else {
			b = append(b, ',')
		}
		a := &d.attempts[i]
		b = append(append(b, `{"node":"`...), a.Why.Node...)
		b = append(append(append(b, `","why":"`...), a.Short...), '"')
		b = append(appendText(b, "end", a.End, maxLoggedText), '}')
	}
	if len(d.attempts) > 0 {
		b = append(b, ']')
	}
	return b
}
