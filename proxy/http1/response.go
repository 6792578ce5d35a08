// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"net/http"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// maxInterim bounds the 1xx answers before the final one. Ours: 100 and 103 need two.
const maxInterim = 16

// Response is the head of a node's answer and what it means for the connection.
type Response struct {
	exchange.Head
	// Keep says that the connection may be used again once the body has been read.
	Keep bool
	// Bodyless says that no body follows, whatever Length says: RFC 9112, section 6.3.
	Bodyless bool

	arena *arena // of the strings; nil between the answers of a connection that is not in use
}

// Release ends the life of the head's strings and gives their memory back. Without it they live until the next answer is
// read into resp.
func (resp *Response) Release() {
	if resp.arena != nil {
		resp.arena.giveBack(resp.Header)
	}
	*resp = Response{}
}

// Sent is what must be known of a request to read the answer to it.
type Sent struct {
	Method string
	// Upgrade says that it asked for another protocol: 101 is a final answer then.
	Upgrade bool
	// Interim is told of each 1xx but 100, which answers an Expect that the edge never sends, and 101. Nil: nobody is. It
	// must not keep the head, nor its strings. Its error ends the reading.
	Interim func(*exchange.Head) error
}

// ReadResponse reads the final answer to a request into resp. The strings of what resp held before are not valid any more;
// those of the answer are until Release or the next ReadResponse. A *Refusal means that the node broke the protocol. io.EOF
// means that the connection ended before the answer's first byte; started then is false.
func ReadResponse(r *Reader, q Sent, resp *Response, limits Limits) (started bool, err error) {
	for range maxInterim + 1 {
		raw, err := readHead(r, limits)
		if err != nil {
			return started || len(r.Buffered()) > 0, err
		}
		started = true
		refusal := parseResponse(raw, q.Method, resp)
		r.Discard(len(raw))
		switch {
		case refusal != nil:
			return true, refusal
		case resp.Status >= 200:
			return true, nil
		case resp.Length != exchange.LengthNone:
			return true, refuse(502, "%d with the length of a body", resp.Status) // RFC 9112, section 6.3: two readings of what follows
		case resp.Status == http.StatusSwitchingProtocols && q.Upgrade:
			return true, nil
		case resp.Status == http.StatusSwitchingProtocols:
			return true, refuse(502, "101 without having been asked to switch protocols")
		case resp.Status != http.StatusContinue && q.Interim != nil:
			if err := q.Interim(&resp.Head); err != nil {
				return true, err
			}
		}
	}
	return true, refuse(502, "more than %d interim answers", maxInterim)
}

// readHead waits for a whole head and returns it; it stays buffered.
func readHead(r *Reader, limits Limits) ([]byte, error) {
	f := headFinder{limits: limits}
	for {
		if n, refusal := f.find(r.Buffered()); refusal != nil {
			return nil, refusal
		} else if n > 0 {
			return r.Buffered()[:n], nil
		}
		if err := r.Fill(); err != nil {
			if len(r.Buffered()) > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

func parseResponse(raw []byte, method string, resp *Response) *Refusal {
	if resp.arena == nil {
		resp.arena = arenas.Get().(*arena)
		resp.Header = resp.arena.fields
	}
	line, fields, r := scanHead(resp.arena.hold(raw), resp.Header[:0])
	resp.Header = fields
	if r != nil {
		return r
	}
	http11, r := resp.readStatusLine(line)
	if r != nil {
		return r
	}
	if resp.Length, r = framing(&resp.Header, http11); r != nil {
		return r
	}
	resp.Bodyless = method == "HEAD" || resp.Status < 200 || resp.Status == 204 || resp.Status == 304
	resp.Keep = http11 && !resp.Header.HasToken("Connection", "close") || !http11 && resp.Header.HasToken("Connection", "keep-alive")
	if resp.Status == 204 && resp.Length != exchange.LengthNone && resp.Length != 0 {
		resp.Keep = false // it may be about to send that body: RFC 9110, section 8.6 forbids the field here
	}
	if r := confirmResponse(raw, resp.Status, resp.Length); r != nil {
		return r
	}
	if !resp.Bodyless && resp.Length == exchange.LengthNone {
		resp.Length, resp.Keep = lengthUntilClose, false
	}
	return nil
}

// lengthUntilClose is Length of an answer that ends with its connection, until NewResponseBody has seen it.
const lengthUntilClose int64 = -3

// readStatusLine reads "HTTP/1.1 200 OK"; the reason may be empty and its space missing.
func (resp *Response) readStatusLine(line string) (http11 bool, _ *Refusal) {
	ok := len(line) >= 12 && isVersion(line[:8]) && line[8] == ' ' && (len(line) == 12 || line[12] == ' ')
	if !ok || line[:8] != "HTTP/1.1" && line[:8] != "HTTP/1.0" {
		return false, refuse(502, "the status line %q is malformed", clip(line))
	}
	for i := 12; i < len(line); i++ {
		if !strict.ValueByte[line[i]] {
			return false, refuse(502, "the reason phrase has a control byte")
		}
	}
	n, ok := parseLength(line[9:12])
	if !ok || n < 100 || n > 599 {
		return false, refuse(502, "the status %q is not known", clip(line[9:12]))
	}
	resp.Status = int(n)
	return line[7] == '1', nil
}
