// SPDX-License-Identifier: Apache-2.0

package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Pair names the files of a certificate, in PEM: the leaf first, then its chain, and the leaf's key.
type Pair struct{ Cert, Key string }

// Config is what a Store needs.
type Config struct {
	// Pairs are the certificates. Without any every handshake fails. The first is shown to who names no host or one that no certificate covers.
	Pairs []Pair
	// Protocols are offered by ALPN, the preferred first. Empty: http/1.1.
	Protocols []string
	// Poll is how often the files are looked at. Zero: 5s.
	Poll time.Duration
	// Logger is told of reloads and of pairs that can't be loaded. Nil: discarded.
	Logger *slog.Logger
}

// maxFileBytes bounds a file of a pair. Ours: a chain has some 10 KiB.
const maxFileBytes = 1 << 20

// Store holds the certificates. Its methods are safe for concurrent use.
type Store struct {
	cfg  Config
	conf *tls.Config
	set  atomic.Pointer[set]

	mu    sync.Mutex // serializes loading; guards the fields below
	pairs []Pair
	stamp []string // of each pair's files when they were last tried
}

// Open loads all pairs. A pair that can't be loaded is an error that names its files.
func Open(c Config) (*Store, error) {
	if c.Poll <= 0 {
		c.Poll = 5 * time.Second
	}
	if len(c.Protocols) == 0 {
		c.Protocols = []string{"http/1.1"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: c}
	use, err := s.Prepare(c.Pairs)
	if err != nil {
		return nil, err
	}
	use()
	s.conf = s.newConfig()
	return s, nil
}

// Prepare loads other pairs and returns what puts them in the place of those in use. A pair that can't be loaded is an error
// that names its files; nothing has changed then. Handshakes under way and connections go on as they began.
func (s *Store) Prepare(pairs []Pair) (use func(), err error) {
	stamp := make([]string, len(pairs))
	certs := make([]*tls.Certificate, len(pairs))
	for i, p := range pairs {
		stamp[i] = stampOf(p)
		if certs[i], err = load(p); err != nil {
			return nil, err
		}
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pairs, s.stamp = pairs, stamp
		s.set.Store(newSet(certs))
		for i, p := range pairs {
			s.warnExpired(p, certs[i])
		}
	}, nil
}

// Run looks at the files until ctx ends, whose error it returns.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s.reload()
		}
	}
}

// reload loads the pairs whose files have changed.
func (s *Store) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	certs := append([]*tls.Certificate(nil), s.set.Load().certs...)
	changed := false
	for i, p := range s.pairs {
		stamp := stampOf(p) // before reading: a write in between shows the next time
		if stamp == s.stamp[i] {
			continue
		}
		s.stamp[i] = stamp
		cert, err := load(p)
		if err != nil {
			s.cfg.Logger.Error("a certificate could not be loaded; the one before stays in use", "error", err)
			continue
		}
		certs[i], changed = cert, true
		s.cfg.Logger.Info("certificate loaded", "file", p.Cert, "names", strings.Join(names(cert.Leaf), " "), "not_after", cert.Leaf.NotAfter)
		s.warnExpired(p, cert)
	}
	if changed {
		s.set.Store(newSet(certs))
	}
}

func (s *Store) warnExpired(p Pair, c *tls.Certificate) {
	if time.Now().After(c.Leaf.NotAfter) {
		s.cfg.Logger.Warn("a certificate has expired; it is shown nevertheless", "file", p.Cert, "not_after", c.Leaf.NotAfter)
	}
}

// NotAfter returns when the first of the certificates expires, zero where there is none.
func (s *Store) NotAfter() time.Time {
	var first time.Time
	for _, c := range s.set.Load().certs {
		if first.IsZero() || c.Leaf.NotAfter.Before(first) {
			first = c.Leaf.NotAfter
		}
	}
	return first
}

// load reads a pair and checks that the key is the certificate's.
func load(p Pair) (*tls.Certificate, error) {
	cert, err := readBounded(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	key, err := readBounded(p.Key)
	if err != nil {
		return nil, fmt.Errorf("read certificate's key: %w", err)
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
		}
	}
	if len(names(c.Leaf)) == 0 && len(c.Leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("certificate %s names no host; clients ignore a common name, want a subjectAltName", p.Cert)
	}
	return &c, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return b, nil
}

// stampOf changes whenever one of the files is written or replaced. Links are followed.
func stampOf(p Pair) string {
	var b strings.Builder
	for _, path := range []string{p.Cert, p.Key} {
		fi, err := os.Stat(path)
		if err != nil {
			b.WriteString("missing ")
			continue
		}
		fmt.Fprint(&b, fi.ModTime().UnixNano(), " ", fi.Size(), " ", inode(fi), " ")
	}
	return b.String()
}
