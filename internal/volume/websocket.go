// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// A WebSocket's text messages are commands: "end" asks how many bytes came, a number for as many bytes.
const wsEnd = "end"

func (n *Nodes) webSocket(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{ReadBufferSize: pieceBytes, WriteBufferSize: pieceBytes}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer c.Close()
	for total := int64(0); ; {
		n.await(r.Context())
		kind, m, err := c.NextReader()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage {
			k, err := n.sink(r.Context(), m)
			if total += k; err != nil {
				return
			}
			continue
		}
		command, err := io.ReadAll(m)
		if err != nil {
			return
		}
		if string(command) == wsEnd {
			err = c.WriteMessage(websocket.TextMessage, strconv.AppendInt(nil, total, 10))
		} else {
			err = n.sendMessages(c, string(command))
		}
		if err != nil {
			return
		}
	}
}

func (n *Nodes) sendMessages(c *websocket.Conn, command string) error {
	left, err := strconv.ParseInt(command, 10, 64)
	for piece := make([]byte, pieceBytes); err == nil && left > 0; {
		part := piece[:min(left, pieceBytes)]
		if err = c.WriteMessage(websocket.BinaryMessage, part); err == nil {
			n.Sent.Add(int64(len(part)))
			left -= int64(len(part))
		}
	}
	if err != nil {
		return err
	}
	return c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Minute))
}

// webSocketClient speaks in clear text or over TLS.
func webSocketClient(e Edge, secure bool) Client {
	name, url := "WebSocket", "ws://"+e.Clear
	if secure {
		name, url = "WebSocket, TLS", "wss://"+e.Secure
	}
	dial := func(ctx context.Context) (*websocket.Conn, error) {
		d := websocket.Dialer{TLSClientConfig: &tls.Config{ServerName: e.Name, InsecureSkipVerify: true}, ReadBufferSize: pieceBytes, WriteBufferSize: pieceBytes}
		c, resp, err := d.DialContext(ctx, url+"/ws", http.Header{"Host": {e.Name}})
		if err != nil {
			return nil, fmt.Errorf("%w (%v)", err, resp)
		}
		return c, nil
	}
	up := func(ctx context.Context, body io.Reader) (int64, error) {
		c, err := dial(ctx)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		for b := make([]byte, pieceBytes); ; {
			n, err := body.Read(b)
			if n > 0 {
				if err := c.WriteMessage(websocket.BinaryMessage, b[:n]); err != nil {
					return 0, err
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return 0, err
			}
		}
		if err := c.WriteMessage(websocket.TextMessage, []byte(wsEnd)); err != nil {
			return 0, err
		}
		_, answer, err := c.ReadMessage()
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(string(answer), 10, 64)
	}
	down := func(ctx context.Context, n int64) (io.ReadCloser, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		if err := c.WriteMessage(websocket.TextMessage, strconv.AppendInt(nil, n, 10)); err != nil {
			c.Close()
			return nil, err
		}
		return &messages{close: c.Close, next: func(m *[]byte) (err error) {
			if _, *m, err = c.ReadMessage(); websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				err = io.EOF
			}
			return err
		}}, nil
	}
	return Client{Name: name, Up: up, Down: down}
}
