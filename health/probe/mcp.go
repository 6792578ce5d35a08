// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"meridian/mcp"
	"meridian/topology"
)

// maxMCPBytes bounds the answer: capabilities and instructions of a server.
const maxMCPBytes = 256 << 10

var (
	errNoAnswer  = errors.New("no answer to the MCP request")
	errLongMCP   = errors.New("the MCP answer is longer than 256 KiB")
	errNoModern  = errors.New("the server offers no version from " + mcp.FirstModern + " on")
	errNoVersion = errors.New("the server names no version in its answer to initialize")
	errSessionID = errors.New("the server gave a malformed " + mcp.HeaderSession)
)

const (
	discover = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"` + mcp.FirstModern + `","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"meridian-check","version":"1"}}}}`
	lastLegacy = "2025-11-25"
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + lastLegacy + `","capabilities":{},` +
		`"clientInfo":{"name":"meridian-check","version":"1"}}}`
)

// answer is what is read of a JSON-RPC response to either.
type answer struct {
	ID     json.RawMessage `json:"id"`
	Result *struct {
		SupportedVersions []string `json:"supportedVersions"` // of server/discover
		ProtocolVersion   string   `json:"protocolVersion"`   // of initialize
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// askMCP makes the check of how's era. again connects once more, for the end of a legacy session.
func askMCP(conn net.Conn, address string, how topology.HealthCheck, again func() (net.Conn, func(), error)) error {
	host := hostOf(how, address)
	if how.Era != topology.EraLegacy {
		own := [][2]string{userAgent, jsonOnly, jsonOrEvents, {mcp.HeaderVersion, mcp.FirstModern}, {"Mcp-Method", "server/discover"}}
		_, a, err := call(conn, request{http.MethodPost, how.Path, host, fieldsOf(how, own...), discover})
		if err == nil && !speaksModern(a.Result.SupportedVersions) {
			err = errNoModern
		}
		return err
	}
	session, a, err := call(conn, request{http.MethodPost, how.Path, host, fieldsOf(how, userAgent, jsonOnly, jsonOrEvents), initialize})
	if session != "" { // also where the rest of the answer was wrong: else sessions pile up there
		if !mcp.ValidSessionID(session) {
			return errSessionID
		}
		endSession(how, host, session, again)
	}
	if err == nil && a.Result.ProtocolVersion == "" {
		err = errNoVersion
	}
	return err
}

var (
	jsonOnly     = [2]string{"Content-Type", "application/json"}
	jsonOrEvents = [2]string{"Accept", "application/json, text/event-stream"}
)

func speaksModern(versions []string) bool {
	for _, v := range versions {
		if v >= mcp.FirstModern {
			return true
		}
	}
	return false
}

// endSession sends DELETE over a connection of its own and waits for the head of the answer, whatever it is: a server may refuse
// (405), and the node has shown already that it works.
func endSession(how topology.HealthCheck, host, session string, again func() (net.Conn, func(), error)) {
	conn, closeConn, err := again()
	if err != nil {
		return
	}
	defer closeConn()
	own := [][2]string{userAgent, {mcp.HeaderSession, session}, {mcp.HeaderVersion, lastLegacy}}
	ask(conn, request{http.MethodDelete, how.Path, host, fieldsOf(how, own...), ""}, 0)
}

// call sends a JSON-RPC request and returns the session id of the answer's head and the answer, which has a result if err is nil.
func call(conn net.Conn, r request) (session string, a answer, err error) {
	resp, err := ask(conn, r, maxMCPBytes)
	if err != nil {
		return "", a, err
	}
	session = resp.Header.Get(mcp.HeaderSession)
	if resp.StatusCode != http.StatusOK {
		return session, a, statusError(resp.StatusCode)
	}
	b, err := message(resp)
	if err != nil {
		return session, a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return session, a, fmt.Errorf("malformed MCP answer: %w", err)
	}
	switch {
	case a.Error != nil:
		return session, a, fmt.Errorf("MCP error %d: %s", a.Error.Code, a.Error.Message)
	case a.Result == nil || string(a.ID) != "1":
		return session, a, errNoAnswer
	}
	return session, a, nil
}

// message returns the JSON of an answer, which may come as events: then what has come first with an id.
func message(resp *http.Response) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "text/event-stream" {
		b, err := io.ReadAll(resp.Body)
		if err == nil && len(b) >= maxMCPBytes {
			err = errLongMCP
		}
		return b, err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxMCPBytes)
	var data []byte
	for lines.Scan() {
		line := lines.Bytes()
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
			continue
		}
		if len(line) == 0 && isResponse(data) {
			return data, nil
		}
		if len(line) == 0 {
			data = data[:0] // a notification, or an event without data
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return nil, err
	} else if err != nil {
		return nil, errLongMCP
	}
	return nil, errNoAnswer
}

// isResponse tells a response from the notifications before it.
func isResponse(data []byte) bool {
	var a answer
	return strings.TrimSpace(string(data)) != "" && json.Unmarshal(data, &a) == nil && len(a.ID) > 0 && (a.Result != nil || a.Error != nil)
}
