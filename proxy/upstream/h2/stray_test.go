// SPDX-License-Identifier: Apache-2.0

package h2

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"golang.org/x/net/http2"

	"meridian/internal/testnet"
	"meridian/proxy/http1"
)

// TestANodeThatGoesOnAfterItsStreamHasEndedLosesTheConnection: nobody would read what it sends, for ever.
func TestANodeThatGoesOnAfterItsStreamHasEndedLosesTheConnection(t *testing.T) {
	for name, more := range map[string]func(r *raw, id uint32) error{
		"103": func(r *raw, id uint32) error {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x48, 0x03, '1', '0', '3'}, EndHeaders: true})
		},
		"200": func(r *raw, id uint32) error {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := rawNode(t, func(r *raw) {
				id := next[*http2.MetaHeadersFrame](r).StreamID
				for more(r, id) == nil {
				}
			})
			p := pool(t, Config{})
			ask(p, n.Addr, get("/"))
			testnet.Wait(t, "the connection to end", func() bool { return p.Stats().Open == 0 })
		})
	}
}

// TestAHeadInEndlessFramesIsRefused: empty ones are within every bound of bytes.
func TestAHeadInEndlessFramesIsRefused(t *testing.T) {
	n := rawNode(t, func(r *raw) {
		id := next[*http2.MetaHeadersFrame](r).StreamID
		r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}})
		for r.WriteContinuation(id, false, nil) == nil {
		}
	})
	_, _, _, err := ask(pool(t, Config{}), n.Addr, get("/"))
	if !errors.As(err, new(*http1.Refusal)) {
		t.Errorf("got %v", err)
	}
}

// TestTheBlockReaderFindsFramesHoweverTheyAreRead is held against reads of every size.
func TestTheBlockReaderFindsFramesHoweverTheyAreRead(t *testing.T) {
	frame := func(kind http2.FrameType, payload int) []byte {
		return append([]byte{0, 0, byte(payload), byte(kind), 0, 0, 0, 0, 1}, make([]byte, payload)...)
	}
	stream := func(continuations int) (b []byte) {
		for range 3 {
			b = append(b, frame(http2.FrameHeaders, 20)...)
			for i := range continuations {
				b = append(b, frame(http2.FrameContinuation, i%12)...)
			}
			b = append(b, frame(http2.FrameData, 9)...)
		}
		return b
	}
	for size := 1; size < 40; size++ {
		for n, wrong := range map[int]bool{0: false, maxContinuations: false, maxContinuations + 1: true} {
			all := stream(n)
			r, p, got := &blockReader{src: bytes.NewReader(all)}, make([]byte, size), 0
			var err error
			for k := 0; err == nil; got += k {
				k, err = r.Read(p)
			}
			if wrong == (err == io.EOF) || !wrong && got != len(all) {
				t.Fatalf("%d CONTINUATION frames in reads of %d: %d bytes of %d, %v", n, size, got, len(all), err)
			}
		}
	}
}
