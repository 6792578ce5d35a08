// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"meridian/internal/h3raw"
	"meridian/internal/probes"
	"meridian/internal/testnet"
)

// h3Case is a mistake of a client of HTTP/3 that has an error code of its own: RFC 9114, section 8.1; RFC 9204, section 6.
type h3Case struct {
	name string
	// request is sent on a request stream, which then ends; uni on a unidirectional one.
	request []byte
	uni     [][]byte // the stream's type first
	ends    bool     // the last of uni ends
	silent  bool     // the client opens no control stream by itself
	// want is "connection CODE", "stream CODE", a status, or "served" where the mistake is to be passed over.
	want string
	// instead is what comes of it, since quic-go does otherwise.
	instead, since string
}

func h3Conn(code int) string   { return fmt.Sprintf("connection %#x", code) }
func h3Stream(code int) string { return fmt.Sprintf("stream %#x", code) }

// join makes one of frames.
func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// h3Cases returns them. The heads in them are right where it is not said otherwise.
func h3Cases() []h3Case {
	head := h3raw.Frame(h3Headers, qpackBlock(probes.Head("POST", "/")))
	data := h3raw.Frame(h3Data, []byte("abcd"))
	trailer := h3raw.Frame(h3Headers, qpackBlock([]probes.Field{{Name: "x-sum", Value: "1"}}))
	settings := h3raw.Frame(h3Settings, nil)
	control := func(b ...[]byte) [][]byte { return [][]byte{append([]byte{h3Control}, join(b...)...)} }
	indexed := bytes.Repeat([]byte{0xc0 | 29}, 30000) // accept: */*
	const (
		skipped   = "quic-go passes over the frame, as if it were of an unknown type"
		unread    = "quic-go never reads what comes on QPACK's streams: it has no dynamic table, which the settings say"
		narrow    = "quic-go takes it for a mistake of one stream"
		ended     = "quic-go takes the stream's end for the frame's, too"
		otherCode = "quic-go has one code for all malformed SETTINGS"
	)
	return []h3Case{
		{name: "DATA before HEADERS", request: join(data, head), want: h3Conn(h3FrameUnexpected)},
		{name: "SETTINGS on a request stream", request: join(settings, head), want: h3Conn(h3FrameUnexpected)},
		{name: "SETTINGS behind HEADERS", request: join(head, settings), want: h3Conn(h3FrameUnexpected)},
		{name: "GOAWAY on a request stream", request: join(h3raw.Frame(h3GoAway, []byte{0}), head), want: h3Conn(h3FrameUnexpected)},
		{name: "CANCEL_PUSH on a request stream", request: join(h3raw.Frame(h3CancelPush, []byte{0}), head), want: h3Conn(h3FrameUnexpected), instead: "200", since: skipped},
		{name: "PUSH_PROMISE of a client", request: join(h3raw.Frame(h3PushPromise, []byte{0, 0, 0}), head), want: h3Conn(h3FrameUnexpected), instead: "200", since: skipped},
		{name: "MAX_PUSH_ID on a request stream", request: join(h3raw.Frame(h3MaxPushID, []byte{0}), head), want: h3Conn(h3FrameUnexpected), instead: "200", since: skipped},
		{name: "PING of HTTP/2", request: join(head, h3raw.Frame(6, make([]byte, 8))), want: h3Conn(h3FrameUnexpected)},
		{name: "WINDOW_UPDATE of HTTP/2", request: join(h3raw.Frame(8, make([]byte, 4)), head), want: h3Conn(h3FrameUnexpected)},
		{name: "unknown frames", request: join(h3raw.Frame(0x21, []byte("x")), head, h3raw.Frame(0x40, nil), data, h3raw.Frame(0x1f*3+0x21, []byte("xyz")), trailer, h3raw.Frame(0x21, nil)), want: "200"},
		{name: "DATA behind the trailer", request: join(head, data, trailer, data), want: h3Conn(h3FrameUnexpected)},
		{name: "HEADERS behind the trailer", request: join(head, data, trailer, trailer), want: h3Conn(h3FrameUnexpected)},
		{name: "no frame", request: []byte{}, want: h3Stream(h3Incomplete)},
		{name: "no head", request: h3raw.Frame(0x21, nil), want: h3Stream(h3Incomplete)},
		{name: "a cut head", request: head[:len(head)-1], want: h3Conn(h3FrameError), instead: h3Stream(h3Incomplete), since: narrow},
		{name: "cut DATA", request: join(head, data[:4]), want: h3Conn(h3FrameError), instead: "200", since: ended},
		{name: "cut DATA of a declared length", request: join(h3raw.Frame(h3Headers, qpackBlock(probes.Head("POST", "/", "content-length", "4"))), data[:4]), want: h3Conn(h3FrameError), instead: "400", since: narrow},
		{name: "a cut trailer", request: join(head, data, trailer[:len(trailer)-1]), want: h3Conn(h3FrameError), instead: "400", since: narrow},

		{name: "a static index that is none", request: h3raw.Frame(h3Headers, []byte{0, 0, 0xff, 0x40}), want: h3Conn(h3QPACKFailed), instead: h3Stream(h3QPACKFailed), since: narrow},
		{name: "a reference to the dynamic table", request: h3raw.Frame(h3Headers, []byte{0, 0, 0x80}), want: h3Conn(h3QPACKFailed), instead: h3Stream(h3QPACKFailed), since: narrow},
		{name: "a required insert count", request: h3raw.Frame(h3Headers, []byte{2, 0, 0xd1}), want: h3Conn(h3QPACKFailed), instead: h3Stream(h3QPACKFailed), since: narrow},
		{name: "a cut field section", request: h3raw.Frame(h3Headers, []byte{0, 0, 0x27, 0}), want: h3Conn(h3QPACKFailed), instead: h3Stream(h3QPACKFailed), since: narrow},
		{name: "a static index that is none in a trailer", request: join(head, data, h3raw.Frame(h3Headers, []byte{0, 0, 0xff, 0x40})), want: h3Conn(h3QPACKFailed)},
		{name: "QPACK that expands", request: h3raw.Frame(h3Headers, append(qpackBlock(probes.Head("GET", "/")), indexed...)), want: "431"},
		{name: "QPACK that expands in a trailer", request: join(head, data, h3raw.Frame(h3Headers, append([]byte{0, 0}, indexed...))), want: "400"},
		{name: "HEADERS of a GiB", request: []byte{h3Headers, 0xbf, 0xff, 0xff, 0xff}, want: "431"},

		{name: "DATA before SETTINGS", silent: true, uni: control(data), want: h3Conn(h3MissingSettings)},
		{name: "GOAWAY before SETTINGS", silent: true, uni: control(h3raw.Frame(h3GoAway, []byte{0}), settings), want: h3Conn(h3MissingSettings)},
		{name: "MAX_PUSH_ID before SETTINGS", silent: true, uni: control(h3raw.Frame(h3MaxPushID, []byte{0}), settings), want: h3Conn(h3MissingSettings), instead: "served", since: skipped},
		{name: "DATA on the control stream", silent: true, uni: control(settings, data), want: h3Conn(h3FrameUnexpected)},
		{name: "HEADERS on the control stream", silent: true, uni: control(settings, head), want: h3Conn(h3FrameUnexpected)},
		{name: "SETTINGS again", silent: true, uni: control(settings, settings), want: h3Conn(h3FrameUnexpected)},
		{name: "unknown frames on the control stream", silent: true, uni: control(settings, h3raw.Frame(0x21, []byte("x")), h3raw.Frame(0x40, nil)), want: "served"},
		{name: "a setting twice", silent: true, uni: control(h3raw.Frame(h3Settings, []byte{6, 1, 6, 1})), want: h3Conn(h3SettingsError), instead: h3Conn(h3FrameError), since: otherCode},
		{name: "an unknown setting twice", silent: true, uni: control(h3raw.Frame(h3Settings, []byte{0x21, 1, 0x21, 1})), want: h3Conn(h3SettingsError), instead: h3Conn(h3FrameError), since: otherCode},
		{name: "a setting of HTTP/2", silent: true, uni: control(h3raw.Frame(h3Settings, []byte{4, 1})), want: h3Conn(h3SettingsError), instead: "served", since: "quic-go takes it for an unknown one"},
		{name: "cut SETTINGS", silent: true, uni: control(h3raw.Frame(h3Settings, []byte{6})), want: h3Conn(h3FrameError), instead: h3Conn(h3ClosedCritical), since: otherCode},
		{name: "the control stream ends", silent: true, uni: control(settings), ends: true, want: h3Conn(h3ClosedCritical)},
		{name: "two control streams", uni: control(settings), want: h3Conn(h3StreamCreation)},
		{name: "a push stream", uni: [][]byte{{h3Push, 0}}, want: h3Conn(h3StreamCreation)},
		{name: "a stream of unknown type", uni: [][]byte{{0x21, 1, 2, 3}}, want: "served"},
		{name: "two encoder streams", uni: [][]byte{{h3Encoder}, {h3Encoder}}, want: h3Conn(h3StreamCreation)},
		{name: "two decoder streams", uni: [][]byte{{h3Decoder}, {h3Decoder}}, want: h3Conn(h3StreamCreation)},
		{name: "a dynamic table", uni: [][]byte{{h3Encoder, 0x3f, 0xe1, 0x1f}}, want: h3Conn(h3EncoderError), instead: "served", since: unread},
		{name: "Insert Count Increment of 0", uni: [][]byte{{h3Decoder, 0}}, want: h3Conn(h3DecoderError), instead: "served", since: unread},
		{name: "the encoder stream ends", uni: [][]byte{{h3Encoder}}, ends: true, want: h3Conn(h3ClosedCritical), instead: "served", since: unread},
	}
}

func TestEachMistakeInHTTP3HasItsError(t *testing.T) {
	e, node := probesEdge(t)
	for _, k := range h3Cases() {
		node.Take()
		got := k.run(t, e)
		want := k.want
		if k.instead != "" {
			want = k.instead
		}
		if got != want {
			t.Errorf("%s: got %s, want %s %s", k.name, got, want, k.since)
		}
		if seen, _ := node.Take(); len(seen) > 0 && want != "200" && want != "served" {
			t.Errorf("%s: the node got %+v", k.name, seen)
		}
	}
}

// run makes the mistake on a connection of its own and returns what came of it.
func (k *h3Case) run(t *testing.T, e *edge) string {
	c := dialH3(t, e, !k.silent)
	defer c.Conn.CloseWithError(0x100, "")
	for i, b := range k.uni {
		s := c.Uni(uint64(b[0]), b[1:])
		if k.ends && i == len(k.uni)-1 {
			s.Close()
		}
	}
	want := k.want
	if k.instead != "" {
		want = k.instead
	}
	var o probes.Outcome
	switch {
	case k.request != nil:
		s := c.open()
		s.Write(k.request)
		s.Close()
		o = h3Outcome(s)
	case strings.HasPrefix(want, "connection "):
		select {
		case <-c.Conn.Context().Done():
		case <-time.After(testnet.Patience):
			return fmt.Sprintf("an open connection after %s", testnet.Patience)
		}
	default:
		for range 2 {
			if o = c.ask(t, &probes.Canary); o.Status != 200 {
				break
			}
		}
		if o.Status == 200 {
			return "served"
		}
	}
	if o.Else != "" && o.Reset == 0 {
		<-c.Conn.Context().Done() // its end has been told to the stream
	}
	var closed *quic.ApplicationError
	switch {
	case c.Conn.Context().Err() != nil && errors.As(context.Cause(c.Conn.Context()), &closed):
		return h3Conn(int(closed.ErrorCode))
	case o.Malformed:
		return h3Stream(h3MessageError)
	case o.Reset != 0:
		return h3Stream(int(o.Reset))
	case o.Else != "":
		return o.Else
	}
	return fmt.Sprint(o.Status)
}
