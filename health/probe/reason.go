// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"unicode"
)

// statusError is an HTTP status with which a check fails.
type statusError int

// Error implements error.
func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

var (
	errLongHead = errors.New("the head of the answer is longer than 64 KiB")
	errInterim  = errors.New("only interim answers (1xx)")
)

// isLocal reports whether an error is a shortage of this machine's own. Taken for the target's, it would declare every
// target dead at once.
func isLocal(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

var reasons = []struct {
	err  error
	text string
}{
	{syscall.ECONNREFUSED, "connect refused"},
	{syscall.ECONNRESET, "reset"},
	{syscall.EPIPE, "reset"},
	{syscall.EHOSTUNREACH, "no route to host"},
	{syscall.ENETUNREACH, "network unreachable"},
	{io.EOF, "closed without an answer"},
	{io.ErrUnexpectedEOF, "closed within the answer"},
}

// reason says in few words what an error means.
func reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	if text := tlsReason(err); text != "" {
		return printable(text)
	}
	return printable(err.Error())
}

// maxReasonBytes bounds a reason: it stands in tables, and in the report of this edge once per node that is not up.
const maxReasonBytes = 120

// printable bounds a text that may repeat what a target sent, and takes out what a terminal or a log would obey.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxReasonBytes {
		s = strings.ToValidUTF8(s[:maxReasonBytes], "") + "…"
	}
	return s
}
