// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// EventStream is a client of server-sent events. Its exchange has the source send one event, and waits until it is here.
type EventStream struct {
	conn    net.Conn
	events  *bufio.Reader
	publish func() error
}

// OpenEventStream asks for the events at a path of the server at addr. publish must send one event to exactly that stream.
func OpenEventStream(ctx context.Context, addr, host, path string, publish func() error) (*EventStream, error) {
	conn, err := dial(ctx, addr, nil, nil)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", path, host)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &EventStream{conn, bufio.NewReader(resp.Body), publish}, nil
}

// Exchange implements Lane.
func (e *EventStream) Exchange(context.Context) error {
	e.conn.SetDeadline(time.Now().Add(patience))
	if err := e.publish(); err != nil {
		return err
	}
	for began := false; ; {
		line, err := e.events.ReadSlice('\n')
		if err != nil {
			return err
		}
		empty := len(bytes.TrimSpace(line)) == 0
		if empty && began {
			return nil
		}
		began = began || !empty && line[0] != ':' // a comment is no event
	}
}

// Close implements Lane.
func (e *EventStream) Close() error { return e.conn.Close() }
