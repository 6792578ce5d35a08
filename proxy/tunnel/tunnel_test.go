// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// pair returns both ends of a TCP connection, which are closed with the test.
func pair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	far.SetDeadline(time.Now().Add(testnet.Patience))
	return near, far
}

// open runs a tunnel between the two ends that it returns, until the test ends.
func open(t testing.TB, c Config) (client, node net.Conn, tu *Tunnel) {
	t.Helper()
	a, client := pair(t)
	b, node := pair(t)
	tu = New(a, b, c)
	var running sync.WaitGroup
	running.Go(func() {
		tu.Run(nil, nil)
		a.Close()
		b.Close()
	})
	t.Cleanup(func() { client.Close(); node.Close(); running.Wait() })
	return client, node, tu
}

func TestATunnelInWhichNothingMovesOwnsNoBuffer(t *testing.T) {
	const n = 100
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	for range n {
		client, node, _ := open(t, Config{Idle: testnet.Patience, WebSocket: true})
		client.Write([]byte("x")) // something has moved, and nothing does any more
		io.ReadFull(node, make([]byte, 1))
		node.Write([]byte{0x82, 0})
		io.ReadFull(client, make([]byte, 2))
	}
	per := (live() - before) / n
	t.Logf("%d bytes of heap for each tunnel with all four ends of its connections", per)
	if per > copyBytes/2 {
		t.Errorf("%d bytes for each tunnel", per)
	}
}

func TestATunnelThatIsToldToEndBeforeItRunsSaysSo(t *testing.T) {
	a, client := pair(t)
	b, node := pair(t)
	tu := New(a, b, Config{Idle: testnet.Patience, WebSocket: true})
	tu.GoAway(testnet.Patience)
	done := make(chan End, 1)
	go func() { done <- tu.Run(nil, []byte{0x82, 1, 'x'}) }()
	var got [7]byte
	if _, err := io.ReadFull(client, got[:4]); err != nil || string(got[:4]) != "\x88\x02\x03\xe9" {
		t.Errorf("got %q, %v", got[:4], err)
	}
	client.Close()
	node.Close()
	<-done
}

// TestASideWithoutASocketIsRelayed: as TLS will have it.
func TestASideWithoutASocketIsRelayed(t *testing.T) {
	a, client := net.Pipe()
	b, node := pair(t)
	tu := New(a, b, Config{Idle: testnet.Patience})
	done := make(chan End, 1)
	go func() { done <- tu.Run([]byte("early "), nil) }()
	client.Write([]byte("late"))
	var got [10]byte
	if _, err := io.ReadFull(node, got[:]); err != nil || string(got[:]) != "early late" {
		t.Errorf("got %q, %v", got, err)
	}
	client.Close() // a pipe has no half-close: both directions end
	if end := <-done; end.FromClient != 10 || end.Err != nil {
		t.Errorf("%+v", end)
	}
}

func BenchmarkEcho(b *testing.B) {
	client, node, _ := open(b, Config{Idle: time.Minute, WebSocket: true})
	go io.Copy(node, node)
	m := frame(2, false, 126)
	client.SetDeadline(time.Now().Add(time.Hour))
	node.SetDeadline(time.Now().Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		client.Write(m)
		if _, err := io.ReadFull(client, m); err != nil {
			b.Fatal(err)
		}
	}
}
