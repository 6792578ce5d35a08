// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meridian/internal/testnet"
	"meridian/internal/volume"
)

// Bounds of the tests of volume. Ours.
const (
	// flatBytes is by how much an edge's memory may grow while bytes go through. What it buffers of a stream is below 1 MiB;
	// the rest is the heap between two collections, and the race detector's shadow of it.
	flatBytes = 32 << 20
	// heldBytes is what the kernel's, the clients' and the nodes' buffers on the way may hold of a stream that stands still.
	heldBytes = 48 << 20
	// offeredBytes is what would come if nobody stopped it.
	offeredBytes = 512 << 20
)

var volumeBytes = flag.Int64("volume", 64<<20, "bytes that go each way by each protocol in the test of volume; make volume has 10 GiB")

// volumeLab is an edge with nodes of HTTP and of gRPC behind it.
type volumeLab struct {
	edge  volume.Edge
	nodes *volume.Nodes
	pid   int
}

func newVolumeLab(t *testing.T) *volumeLab {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l := &volumeLab{nodes: volume.NewNodes(t)}
	l.edge = volume.Edge{Clear: fmt.Sprintf("127.0.0.1:%d", freePort(t)), Secure: fmt.Sprintf("127.0.0.1:%d", freePort(t)), Name: "a.test"}
	topology := put("topology.yaml", fmt.Appendf(nil, `regions: [{name: lab}]
pools:
  - {name: web, health_check: {type: tcp}}
  - {name: grpc, protocol: grpc, health_check: {type: tcp}}
nodes:
  - {name: n1, pool: web, region: lab, address: %q}
  - {name: g1, pool: grpc, region: lab, address: %q}
routes:
  - {name: web, pool: web}
  - {name: grpc, pool: grpc, path_prefix: /volume}
`, l.nodes.Web, l.nodes.GRPC))
	c, k := testnet.Certificate(t, l.edge.Name)
	config := put("edge.yaml", fmt.Appendf(nil, "name: e1\nregion: lab\ntopology_file: %s\nadmin: {listen: \"127.0.0.1:%d\"}\nhttp: {listen: [%q]}\nhttps: {http3: true, listen: [%q], certificates: [{cert: %s, key: %s}]}\n",
		topology, freePort(t), l.edge.Clear, l.edge.Secure, put("a.crt", c), put("a.key", k)))
	l.pid = startProgram(t, "edge", "serve", "-c", config).Cmd.Process.Pid
	warm := volume.Clients(t, l.edge)[0]
	testnet.Wait(t, "the edge to serve", func() bool {
		n, err := warm.Up(t.Context(), volume.Zeros(1))
		return err == nil && n == 1
	})
	return l
}

// everyClient has f run with each client, one after the other: they share the edge, whose memory is looked at.
func (l *volumeLab) everyClient(t *testing.T, clients []volume.Client, f func(t *testing.T, c volume.Client)) {
	for _, c := range clients {
		t.Run(c.Name, func(t *testing.T) { f(t, c) })
	}
}

// up sends n bytes and down fetches them.
func up(ctx context.Context, c volume.Client, n int64) error {
	got, err := c.Up(ctx, volume.Zeros(n))
	if err == nil && got != n {
		err = fmt.Errorf("the node got %d bytes of %d", got, n)
	}
	return err
}

func down(ctx context.Context, c volume.Client, n int64) error {
	body, err := c.Down(ctx, n)
	if err != nil {
		return err
	}
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 64<<10))
	if err == nil && got != n {
		err = fmt.Errorf("%d bytes of %d came, and a whole end", got, n)
	}
	return errors.Join(err, body.Close())
}

// TestVolumeLeavesMemoryFlat moves much through an edge by each protocol, both ways. Its table is make volume's result.
func TestVolumeLeavesMemoryFlat(t *testing.T) {
	needProc(t)
	l := newVolumeLab(t)
	clients := volume.Clients(t, l.edge)
	if _, err := exec.LookPath("curl"); err == nil {
		clients = append(clients[4:], volume.Curl(l.edge)...) // instead of Go's clients of HTTP/1.1 and HTTP/2
	} else {
		t.Run("curl", func(t *testing.T) { skipLoudly(t, "curl is not installed (Debian: curl)") })
	}
	var table strings.Builder
	mib := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
	l.everyClient(t, clients, func(t *testing.T, c volume.Client) {
		for _, way := range []struct {
			name string
			move func(context.Context, volume.Client, int64) error
		}{{"up", up}, {"down", down}} {
			if err := way.move(t.Context(), c, 8<<20); err != nil { // the heap and the program's pages are there from here on
				t.Fatalf("%s, to begin with: %v", way.name, err)
			}
			began, stop := time.Now(), volume.Watch(l.pid)
			err := way.move(t.Context(), c, *volumeBytes)
			took := time.Since(began)
			m, watched := stop()
			if err := errors.Join(err, watched); err != nil {
				t.Fatalf("%s: %v", way.name, err)
			}
			if m.Most-m.Start > flatBytes {
				t.Errorf("%s: the edge's memory grew from %s to %s MiB", way.name, mib(m.Start), mib(m.Most))
			}
			row := fmt.Sprintf("| %s | %s | %.2f | %.0f | %.0f | %s | %s | %s |", c.Name, way.name, float64(*volumeBytes)/(1<<30), took.Seconds(),
				float64(*volumeBytes)/(1<<20)/took.Seconds(), mib(m.Start), mib(m.Most), mib(m.End))
			fmt.Fprintln(&table, row)
			t.Log(row)
		}
	})
	t.Logf("resident memory of the edge while bytes go through\n| client | way | GiB | s | MiB/s | MiB at the start | most | at the end |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n%s", &table)
}

func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from Linux's /proc")
	}
}

// standstill waits until a count stays the same for half a second, and returns it.
func standstill(t *testing.T, count func() int64) int64 {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(testnet.Patience)
	defer tick.Stop()
	last, same := count(), 0
	for same < 25 {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("bytes still move after %s: %d", testnet.Patience, last)
		}
		if now := count(); now != last {
			last, same = now, 0
		} else {
			same++
		}
	}
	return last
}

// held checks that a sender was stopped, and the edge's memory.
func (l *volumeLab) held(t *testing.T, moved int64, stop func() (volume.Memory, error)) {
	t.Helper()
	m, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	if moved > heldBytes {
		t.Errorf("the sender got rid of %d MiB with nobody reading them", moved>>20)
	}
	if m.Most-m.Start > flatBytes {
		t.Errorf("the edge's memory grew from %d to %d MiB", m.Start>>20, m.Most>>20)
	}
	t.Logf("%d KiB were taken; memory went from %d to at most %d KiB", moved>>10, m.Start>>10, m.Most>>10)
}

// TestASlowReaderStopsItsNode: of an answer that nobody reads the node gets rid of no more than what buffers on the way
// hold, none of which grow in the edge; and what was held back comes whole.
func TestASlowReaderStopsItsNode(t *testing.T) {
	needProc(t)
	l := newVolumeLab(t)
	l.everyClient(t, volume.Clients(t, l.edge), func(t *testing.T, c volume.Client) {
		if err := down(t.Context(), c, 8<<20); err != nil {
			t.Fatal(err)
		}
		before, stop := l.nodes.Sent.Load(), volume.Watch(l.pid)
		body, err := c.Down(t.Context(), offeredBytes)
		if err != nil {
			t.Fatal(err)
		}
		moved := standstill(t, l.nodes.Sent.Load) - before
		l.held(t, moved, stop)
		if _, err := io.CopyN(io.Discard, body, 16<<20); err != nil { // it goes on
			t.Errorf("the rest: %v", err)
		}
		body.Close()
		standstill(t, l.nodes.Sent.Load) // and ends
	})
}

// counting counts what was read of it.
type counting struct {
	io.Reader
	count *atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.count.Add(int64(n))
	return n, err
}

// TestASlowNodeStopsItsClient is the same the other way.
func TestASlowNodeStopsItsClient(t *testing.T) {
	needProc(t)
	l := newVolumeLab(t)
	l.everyClient(t, volume.Clients(t, l.edge), func(t *testing.T, c volume.Client) {
		if err := up(t.Context(), c, 8<<20); err != nil {
			t.Fatal(err)
		}
		const total = heldBytes + 16<<20
		var sent atomic.Int64
		stop := volume.Watch(l.pid)
		l.nodes.Hold()
		defer l.nodes.Go()
		ended := make(chan error, 1)
		go func() {
			got, err := c.Up(t.Context(), &counting{volume.Zeros(total), &sent})
			if err == nil && got != total {
				err = fmt.Errorf("the node got %d bytes of %d", got, total)
			}
			ended <- err
		}()
		testnet.Wait(t, "bytes to leave", func() bool { return sent.Load() > 0 })
		l.held(t, standstill(t, sent.Load), stop)
		l.nodes.Go()
		if err := <-ended; err != nil {
			t.Errorf("the rest: %v", err)
		}
	})
}

// TestASlowSenderIsRelayedByteByByte: each byte is at the node before the next one is sent.
func TestASlowSenderIsRelayedByteByByte(t *testing.T) {
	needProc(t)
	l := newVolumeLab(t)
	const bytes = 300
	l.everyClient(t, volume.Clients(t, l.edge), func(t *testing.T, c volume.Client) {
		stop := volume.Watch(l.pid)
		before := l.nodes.Read.Load()
		n := int64(0)
		got, err := c.Up(t.Context(), &slowly{left: bytes, wait: func() {
			testnet.Wait(t, "the byte before to arrive", func() bool { return l.nodes.Read.Load()-before == n })
			n++
		}})
		if err != nil || got != bytes {
			t.Errorf("the node got %d bytes, %v", got, err)
		}
		l.held(t, n, stop)
	})
}

// slowly gives one byte at a time.
type slowly struct {
	left int
	wait func()
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	s.wait()
	p[0] = 'x'
	return 1, nil
}
