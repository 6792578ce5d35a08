// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"os"
)

// readNowSecure is ReadNow above TLS: what is decrypted already, or can be without waiting for the peer.
func (s *Socket) readNowSecure(p []byte) (int, error) {
	s.below.now = true
	n, err := s.conn.Read(p)
	s.below.now = false
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) { // Conn.Read's, which TLS passes on and forgets
		return 0, nil
	}
	return n, err
}

// readLazilySecure is ReadLazily above TLS, which has no other way to wait than to read: it does so with a byte.
func (s *Socket) readLazilySecure(room func() []byte) (int, error) {
	n, err := s.conn.Read(s.first[:])
	if n == 0 {
		return 0, err
	}
	p := room()
	p[0] = s.first[0]
	more, _ := s.readNowSecure(p[1:]) // an error comes again with the next read
	return 1 + more, nil
}
