// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTheKernelHoldsLittleForAClientThatDoesNotRead writes to a client with a small window until nothing more is taken.
func TestTheKernelHoldsLittleForAClientThatDoesNotRead(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		return err
	}}
	c, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := s.Write(make([]byte, 16<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d: %v", n, err)
	}
	if n > 2*unsentBytes {
		t.Errorf("the kernel took %d bytes for a client that read none", n)
	}
}
