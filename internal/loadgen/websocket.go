// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// WebSocket is a client that sends a message of text and waits for it to come back. It knows of RFC 6455 what that takes:
// messages of at most 125 bytes, one frame each.
type WebSocket struct {
	conn        net.Conn
	r           *bufio.Reader
	message     []byte
	frame, echo []byte
}

// mask is the same for each frame: it guards caches on the way of a browser's bytes, and these are nobody's.
var mask = [4]byte{0x9d, 0x3c, 0x55, 0xe1}

// OpenWebSocket opens a WebSocket at a path of the server at addr.
func OpenWebSocket(ctx context.Context, addr, host, path string, message []byte) (*WebSocket, error) {
	if len(message) > 125 {
		return nil, fmt.Errorf("a message of %d bytes: at most 125 fit into a short frame", len(message))
	}
	conn, err := dial(ctx, addr, nil, nil)
	if err != nil {
		return nil, err
	}
	w := &WebSocket{conn: conn, r: bufio.NewReader(conn), message: message, echo: make([]byte, 2+len(message))}
	w.frame = append(w.frame, 0x81, 0x80|byte(len(message)))
	w.frame = append(w.frame, mask[:]...)
	for i, b := range message {
		w.frame = append(w.frame, b^mask[i%4])
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	resp, err := http.ReadResponse(w.r, nil)
	if err == nil && (resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		err = fmt.Errorf("no WebSocket, but status %d and Sec-WebSocket-Accept %q", resp.StatusCode, resp.Header.Get("Sec-WebSocket-Accept"))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

// Exchange implements Lane.
func (w *WebSocket) Exchange(context.Context) error {
	w.conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(w.frame); err != nil {
		return err
	}
	if _, err := io.ReadFull(w.r, w.echo); err != nil {
		return err
	}
	if w.echo[0] != 0x81 || int(w.echo[1]) != len(w.message) || !bytes.Equal(w.echo[2:], w.message) {
		return fmt.Errorf("not the echo, but % x", w.echo)
	}
	return nil
}

// Close implements Lane.
func (w *WebSocket) Close() error { return w.conn.Close() }
