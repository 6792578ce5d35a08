// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// connected returns both ends of a connection; the first is of a listener of Listen.
func connected(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestRoomIsThereUntilTheClientStopsReadingAndAgainOnceItReads(t *testing.T) {
	ours, theirs := connected(t)
	var r Room
	r.Reset(ours)
	ours.SetWriteDeadline(time.Now().Add(20 * time.Second))
	written := 0
	for r.Free() {
		n, err := ours.Write(make([]byte, unsentBytes/2)) // ends, since there is room
		if written += n; err != nil || written > 64<<20 {
			t.Fatalf("%d bytes, %v", written, err)
		}
	}
	ours.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if err := r.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("waiting for a client that does not read: %v", err)
	}
	ours.SetWriteDeadline(time.Now().Add(20 * time.Second))
	read := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, theirs, int64(written))
		read <- err
	}()
	if err := r.Wait(); err != nil || !r.Free() {
		t.Errorf("after the client has read: %v", err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// TestRoomIsLookedForBelowTLSAndConn has the connections as servers have them.
func TestRoomIsLookedForBelowTLSAndConn(t *testing.T) {
	ours, _ := connected(t)
	for name, nc := range map[string]net.Conn{
		"bare": ours, "wrapped": Wrap(ours), "TLS": tls.Server(ours, &tls.Config{}), "TLS over wrapped": tls.Server(Wrap(ours), &tls.Config{}),
	} {
		var r Room
		if r.Reset(nc); !r.Set() {
			t.Errorf("%s: there is no way to tell", name)
		}
		if r.Reset(nil); r.Set() {
			t.Errorf("%s: it is not forgotten", name)
		}
	}
}

func TestAConnectionThatIsGoneCountsAsRoomSoThatTheWriteSaysSo(t *testing.T) {
	ours, theirs := connected(t)
	var r Room
	if !r.Free() || r.Wait() != nil {
		t.Error("without a connection there is no way to tell")
	}
	r.Reset(ours)
	for r.Free() {
		if _, err := ours.Write(make([]byte, unsentBytes/2)); err != nil {
			t.Fatal(err)
		}
	}
	theirs.(*net.TCPConn).SetLinger(0)
	theirs.Close()
	if err := r.Wait(); err != nil {
		t.Error(err)
	}
	ours.Close()
	if !r.Free() {
		t.Error("a closed connection has no room")
	}
}
