// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"meridian/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns a Socket, its connection, and the other end.
func pair(t testing.TB) (*Socket, *testnet.Conn, *testnet.Conn) {
	t.Helper()
	other := make(chan *testnet.Conn, 1)
	hold := make(chan struct{})
	n := testnet.Listen(t, func(c *testnet.Conn) { other <- c; <-hold })
	t.Cleanup(func() { close(hold) })
	c := testnet.Dial(t, n.Addr)
	s := &Socket{}
	s.Reset(c.Conn)
	return s, c, <-other
}

func TestWhatIsWrittenIsReadInOrder(t *testing.T) {
	s, _, other := pair(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than the kernel's buffers take
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, w := range [][2][]byte{{[]byte("head "), big}, {nil, []byte("b")}, {big, nil}, {nil, nil}} {
			if n, err := s.WriteBoth(w[0], w[1]); n != len(w[0])+len(w[1]) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		}
	})
	want := "head " + string(big) + "b" + string(big)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(other, got); err != nil || string(got) != want {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	wg.Wait()
	other.Send("answer")
	other.CloseWrite()
	if got, err := io.ReadAll(s); string(got) != "answer" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDeadlinesAndEndsAreThoseOfTheConnection(t *testing.T) {
	s, c, other := pair(t)
	var b [8]byte
	c.SetReadDeadline(time.Unix(1, 0))
	if _, err := s.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	if n, err := s.Write(make([]byte, 16<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= 16<<20 {
		t.Errorf("write: %d, %v", n, err)
	}
	other.Reset()
	if _, err := s.Read(b[:]); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	c.Close()
	if _, err := s.Read(b[:]); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAWaitingReadEndsWithTheConnection(t *testing.T) {
	s, c, _ := pair(t)
	done := make(chan error)
	go func() { var b [1]byte; _, err := s.Read(b[:]); done <- err }()
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestOtherConnectionsGoThroughThemselves(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	var s Socket
	s.Reset(a)
	go s.WriteBoth([]byte("a"), []byte("b"))
	got := make([]byte, 2)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "ab" {
		t.Errorf("got %q, %v", got, err)
	}
	go io.Copy(b, strings.NewReader("x"))
	if n, err := s.Read(got); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestReadNowDoesNotWait(t *testing.T) {
	if !haveRaw {
		t.Skip("there are no raw calls here")
	}
	s, c, other := pair(t)
	c.SetReadDeadline(time.Unix(1, 0)) // is of no concern to it
	var b [8]byte
	if n, err := s.ReadNow(b[:]); n != 0 || err != nil {
		t.Errorf("nothing came, and it read %d, %v", n, err)
	}
	for _, step := range []struct {
		do   func()
		n    int
		want error
	}{{func() { other.Send("abc") }, 3, nil}, {other.CloseWrite, 0, io.EOF}} {
		step.do()
		testnet.Wait(t, "it to arrive", func() bool {
			n, err := s.ReadNow(b[:])
			return n == step.n && err == step.want
		})
	}
}
