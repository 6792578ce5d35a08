// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

func TestAWrappedConnectionCarriesTheSameBytes(t *testing.T) {
	_, c, other := pair(t)
	w := Wrap(c.Conn)
	if _, wrapped := w.(*Conn); wrapped != haveRaw {
		t.Errorf("wrapped: %v", wrapped)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := w.Write(big); n != len(big) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		w.(interface{ CloseWrite() error }).CloseWrite()
	})
	if got, err := io.ReadAll(other); !bytes.Equal(got, big) || err != nil {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	wg.Wait()
	other.Send("answer")
	other.CloseWrite()
	if got, err := io.ReadAll(w); string(got) != "answer" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTheKernelsConnectionIsFoundBelowAll(t *testing.T) {
	_, c, _ := pair(t)
	for _, nc := range []net.Conn{c.Conn, Wrap(c.Conn), tls.Server(Wrap(c.Conn), &tls.Config{}), tls.Server(c.Conn, &tls.Config{})} {
		if got := Kernel(nc); got != c.Conn {
			t.Errorf("below %T is %T", nc, got)
		}
	}
	a, _ := net.Pipe()
	if Kernel(a) != a || Wrap(a) != a {
		t.Error("what is no TCP connection is not left as it is")
	}
}
