// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"meridian/internal/testnet"
)

// asking returns a pair as pair does, or skips where Ask is not to be had.
func asking(t *testing.T) (*Socket, *testnet.Conn, *testnet.Conn) {
	s, c, other := pair(t)
	if !s.CanAsk() {
		t.Skip("there are no raw calls here")
	}
	return s, c, other
}

func TestAnAnswerIsNeverMissed(t *testing.T) {
	s, c, other := asking(t)
	c.SetReadDeadline(time.Now().Add(testnet.Patience))
	var peer sync.WaitGroup
	defer peer.Wait()
	peer.Go(func() { // answers as soon as it can: often before the wait has begun
		var b [64]byte
		for {
			n, err := other.Read(b[:])
			if err != nil {
				return
			}
			other.Write(b[:n])
		}
	})
	defer c.Close()
	for i := range 20000 {
		sent := []byte{byte(i), byte(i >> 8), 'x'}
		if n, early, err := s.Ask(sent[:1], sent[1:]); n != 3 || early || err != nil {
			t.Fatalf("round %d: sent %d, early %v, %v", i, n, early, err)
		}
		var got [3]byte
		if _, err := io.ReadFull(s, got[:]); err != nil || !bytes.Equal(got[:], sent) {
			t.Fatalf("round %d: got %v, %v, want %v", i, got, err, sent)
		}
	}
}

func TestNothingIsSentToAPeerThatSpokeFirst(t *testing.T) {
	for name, speak := range map[string]func(*testnet.Conn){
		"words": func(c *testnet.Conn) { c.Send("x") }, "its end": (*testnet.Conn).CloseWrite, "a reset": (*testnet.Conn).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			s, _, other := asking(t)
			speak(other)
			testnet.Wait(t, "it to be seen", func() bool {
				_, early, err := s.Ask([]byte("q"), nil)
				if early {
					return true
				}
				if err != nil {
					t.Fatal(err)
				}
				return false
			})
		})
	}
}

func TestAnAnswersEndIsSeenWithItOrAfterIt(t *testing.T) {
	s, _, other := asking(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		other.ReadUntil("q")
		other.Send("answer")
		other.CloseWrite()
	}()
	if n, early, err := s.Ask([]byte("q"), nil); n != 1 || early || err != nil {
		t.Fatalf("sent %d, early %v, %v", n, early, err)
	}
	if got, err := io.ReadAll(s); string(got) != "answer" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	<-done
}

func TestAskDoesNotWaitForWhatThePeerDoesNotTake(t *testing.T) {
	s, _, _ := asking(t)
	big := make([]byte, 32<<20)
	if n, early, err := s.Ask([]byte("q"), big); n == 0 || n >= len(big) || early || err != nil {
		t.Errorf("sent %d of %d, early %v, %v", n, len(big)+1, early, err)
	}
}

func TestAWaitForAnAnswerEndsByDeadlineAndByClose(t *testing.T) {
	var b [1]byte
	s, c, _ := asking(t)
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, early, err := s.Ask([]byte("q"), nil); n != 1 || early || err != nil {
		t.Errorf("sent %d, early %v, %v", n, early, err)
	}
	if _, err := s.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read after it: %v", err)
	}
	if n, _, err := s.Ask([]byte("q"), nil); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline it sent %d, %v", n, err)
	}
	c.SetReadDeadline(time.Time{})
	var ended sync.WaitGroup
	ended.Go(func() {
		if n, early, err := s.Ask([]byte("q"), nil); n > 1 || early || err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed meanwhile, it sent %d, early %v, %v", n, early, err)
		}
	})
	c.Close()
	ended.Wait()
	if n, _, err := s.Ask([]byte("q"), nil); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close it sent %d, %v", n, err)
	}
}

func TestWriteNowTakesWhatTheKernelDoes(t *testing.T) {
	s, c, other := asking(t)
	c.SetWriteDeadline(time.Unix(1, 0)) // is of no concern to it
	a, b := bytes.Repeat([]byte("a"), 3), bytes.Repeat([]byte("b"), 32<<20)
	n, err := s.WriteNow(a, b)
	if n <= len(a) || n >= len(b) || err != nil {
		t.Fatalf("wrote %d of %d, %v", n, len(a)+len(b), err)
	}
	c.SetWriteDeadline(time.Time{})
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		got := make([]byte, len(a)+len(b))
		if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, append(a[:3:3], b...)) {
			t.Errorf("what arrived is not what was written: %v", err)
		}
	})
	left, rest := Cut(a, b, n)
	if len(left)+len(rest) != len(a)+len(b)-n {
		t.Errorf("%d and %d are left", len(left), len(rest))
	}
	if _, err := s.WriteBoth(left, rest); err != nil {
		t.Error(err)
	}
}

func TestCut(t *testing.T) {
	for n, want := range []string{"abc|de", "bc|de", "c|de", "|de", "|e", "|"} {
		a, b := Cut([]byte("abc"), []byte("de"), n)
		if got := string(a) + "|" + string(b); got != want {
			t.Errorf("%d off: %q, want %q", n, got, want)
		}
	}
}
