// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"meridian/proxy/exchange"
	"meridian/proxy/strict"
)

// judge answers with the status of what is wrong with the body; eager with its head first.
func judge(eager bool) exchange.Handler {
	return func(x *exchange.Exchange) {
		status := 200
		if eager {
			x.Reply.WriteHead(&exchange.Head{Status: status, Length: exchange.LengthUnknown})
			x.Reply.Flush()
		}
		_, err := io.Copy(io.Discard, x.Body)
		var r *strict.Refusal
		switch {
		case errors.As(err, &r):
			status = r.Status
		case err != nil:
			status = 599
		}
		if !eager {
			x.Reply.WriteHead(&exchange.Head{Status: status, Length: 0})
		} else if err != nil {
			return
		}
		x.Reply.End(nil)
	}
}

// drip sends a request whose body comes byte by byte, and returns the answer's status and whether it was ended well.
func drip(t *testing.T, c Config, body int, pause time.Duration) (status string, whole bool) {
	client, server := net.Pipe()
	s, served := NewServer(c), make(chan struct{})
	go func() { defer close(served); s.Serve(server, nil, Peer{}) }()
	defer func() { client.Close(); <-served }()
	frames := make(chan struct{})
	writer := xhttp2.NewFramer(client, nil)
	go func() {
		defer close(frames)
		fr := xhttp2.NewFramer(io.Discard, client)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *xhttp2.MetaHeadersFrame:
				status = f.PseudoValue("status")
				whole = f.StreamEnded()
			case *xhttp2.DataFrame:
				whole = f.StreamEnded()
			case *xhttp2.RSTStreamFrame:
				return
			}
			if whole {
				return
			}
		}
	}()
	io.WriteString(client, xhttp2.ClientPreface)
	writer.WriteSettings()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "a.test"}, {":path", "/"}, {"content-length", strconv.Itoa(body)}} {
		e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	writer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	for i := range body {
		select {
		case <-frames:
			return status, whole
		case <-time.After(pause):
			writer.WriteData(1, i == body-1, []byte("x"))
		}
	}
	<-frames
	return status, whole
}

func TestASlowBodyIsCutOffUntilTheAnswerBegins(t *testing.T) {
	for _, c := range []struct {
		name   string
		eager  bool
		rate   int
		body   int
		pause  time.Duration
		status string
		least  time.Duration
	}{
		{"a byte in five seconds", false, 0, 100, 5 * time.Second, "408", 20 * time.Second},
		{"where that may be", false, -1, 10, 5 * time.Second, "200", 50 * time.Second},
		{"a short body", false, 0, 10, time.Second, "200", 10 * time.Second},
		{"a conversation", true, 0, 10, 30 * time.Second, "200", 300 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			status, whole := drip(t, Config{Handler: judge(c.eager), MinBodyRate: c.rate}, c.body, c.pause)
			if took := time.Since(began); status != c.status || !whole || took < c.least || took > c.least+6*time.Second {
				t.Errorf("%s: got %s, whole: %v, after %s; want %s after %s", c.name, status, whole, took, c.status, c.least)
			}
		})
	}
}
