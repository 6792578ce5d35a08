// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"meridian/internal/testnet"
)

const canary = canaryLine + "\r\nHost: a.test\r\n\r\n"

// lanes are how many connections take the pieces of requests at a time.
const lanes = 16

// lane is a connection on which one request follows the other.
type lane struct {
	net.Conn
	in   *bufio.Reader
	rest string // of the request under way
}

func newLane(c net.Conn) *lane { return &lane{Conn: c, in: bufio.NewReader(c)} }

// send sends a piece, and gives the lane time anew.
func (l *lane) send(piece string) {
	l.SetDeadline(time.Now().Add(testnet.Patience))
	io.WriteString(l, piece)
}

// RunTaken sends each probe that must be taken, whole, byte by byte, and split in two at each byte, with a canary behind it: each
// must get its own answer, and the node must see both as they are. Where the transport has records, each piece is one.
func RunTaken(t *testing.T, dial func() net.Conn, node *Recorder) {
	pace := newLane(dial())
	defer pace.Close()
	var open [lanes]*lane
	for n, p := range Taken() {
		if n%6 == 0 { // the first request of a connection may take another way than later ones
			for i, old := range open {
				if old != nil {
					old.Close()
				}
				open[i] = newLane(dial())
			}
		}
		for at := 0; at < len(p.Bytes) && !t.Failed(); at += lanes {
			node.Take()
			in := open[:min(lanes, len(p.Bytes)-at)]
			for i, l := range in {
				l.send(p.Bytes[:at+i])
				l.rest = p.Bytes[at+i:] + canary
			}
			pace.roundTrip(t, canary, canaryLine) // so that the edge has seen the first pieces by then
			for i, l := range in {
				if at+i > 0 {
					l.send(l.rest)
					continue
				}
				for i := range len(l.rest) {
					l.send(l.rest[i : i+1])
				}
			}
			for i, l := range in {
				if !l.answer(t, p.Line) || !l.answer(t, canaryLine) {
					t.Errorf("%s: split at %d of %d", p.Name, at+i, len(p.Bytes))
				}
			}
			p.check(t, node, len(in))
		}
	}
	for _, l := range open {
		l.Close()
	}
}

func (l *lane) roundTrip(t *testing.T, request, want string) bool {
	t.Helper()
	l.send(request)
	return l.answer(t, want)
}

// answer reads one, which must be the Recorder's to the request line want.
func (l *lane) answer(t *testing.T, want string) bool {
	t.Helper()
	resp, err := http.ReadResponse(l.in, &http.Request{Method: "GET"})
	if err != nil {
		t.Errorf("%s: %v", want, err)
		return false
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(body) != want {
		t.Errorf("got %d %q, %v; want %q", resp.StatusCode, body, err, want)
		return false
	}
	return true
}

// check holds what the node has seen to n times the probe and a canary behind it, and the canary of the pace.
func (p *Accepted) check(t *testing.T, node *Recorder, n int) {
	t.Helper()
	seen, _ := node.Take()
	probes, canaries := 0, 0
	for _, s := range seen {
		switch {
		case s.Line == canaryLine && s.Body == "":
			canaries++
		case s.Line == p.Line && s.Body == p.Body:
			probes++
		default:
			t.Errorf("%s: the node saw %+v", p.Name, s)
		}
		for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
			if v := s.Header.Get(name); v != "" {
				t.Errorf("%s: the node got %s: %s", p.Name, name, v)
			}
		}
	}
	if probes != n || canaries != n+1 {
		t.Errorf("%s: the node saw it %d times and the canary %d times, want %d and %d", p.Name, probes, canaries, n, n+1)
	}
}
