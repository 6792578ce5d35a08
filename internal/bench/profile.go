// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

// profile drives the edge by every scenario for d each, and writes where it spent its time into a file.
func (l *lab) profile(ctx context.Context, file string, d time.Duration) error {
	edge := l.peers[0]
	for _, s := range scenarios {
		l.atFullSpeed(ctx, s, edge, warmUp) // as in measure
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		profile []byte
		err     error
	}
	made := make(chan answer, 1)
	// Opening and closing clients takes time, too; a profile that ends later has nothing but idleness at its end.
	seconds := int((d*time.Duration(len(scenarios)) + 5*time.Second) / time.Second)
	go func() {
		p, err := fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", edge.admin, seconds))
		if err != nil {
			cancel() // no load without a profile
		}
		made <- answer{p, err}
	}()
	var err error
	for _, s := range scenarios {
		if _, err = l.atFullSpeed(ctx, s, edge, d); err != nil {
			err = fmt.Errorf("%s: %w", s.name, err)
			cancel() // no profile of half a load
			break
		}
	}
	a := <-made
	if a.err != nil && !errors.Is(a.err, context.Canceled) {
		return fmt.Errorf("profile the edge: %w", a.err)
	}
	if err != nil {
		return err
	}
	anonymous, err := withoutPaths(a.profile)
	if err != nil {
		return fmt.Errorf("read the edge's profile: %w", err)
	}
	return os.WriteFile(file, anonymous, 0o644)
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return b, err
}

// stringTable is the number of the field of a profile's strings (profile.proto of pprof).
const stringTable = 6

// withoutPaths returns a profile in which files outside of modules, such as the program's, have lost their directory: who
// made it where is nobody's business, and two of them would differ without need.
func withoutPaths(profile []byte) ([]byte, error) {
	unzip, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, err
	}
	in, err := io.ReadAll(unzip)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // an error is another level than there is
	for len(in) > 0 {
		field, text, rest, err := nextField(in)
		if err != nil {
			return nil, err
		}
		raw := in[:len(in)-len(rest)]
		if s := string(text); field == stringTable && strings.HasPrefix(s, "/") {
			raw = binary.AppendUvarint(binary.AppendUvarint(nil, stringTable<<3|2), uint64(len(path.Base(s))))
			raw = append(raw, path.Base(s)...)
		}
		zip.Write(raw) // into memory, as Close
		in = rest
	}
	zip.Close()
	return out.Bytes(), nil
}

var errProfile = errors.New("not a profile as pprof writes it")

// nextField splits the first field off a protobuf message. text is what a field with a length holds.
func nextField(in []byte) (number uint64, text, rest []byte, err error) {
	key, n := binary.Uvarint(in)
	if n <= 0 {
		return 0, nil, nil, errProfile
	}
	in = in[n:]
	value, n := binary.Uvarint(in)
	if n <= 0 {
		return 0, nil, nil, errProfile
	}
	in = in[n:]
	switch key & 7 {
	case 0: // a number
		return key >> 3, nil, in, nil
	case 2:
		if value > uint64(len(in)) {
			return 0, nil, nil, errProfile
		}
		return key >> 3, in[:value], in[value:], nil
	}
	return 0, nil, nil, errProfile
}
