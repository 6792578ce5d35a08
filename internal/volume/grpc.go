// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// raw is a codec of messages that are bytes.
type raw struct{}

func (raw) Name() string { return "raw" }

// Marshal implements encoding.Codec.
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

// Unmarshal implements encoding.Codec.
func (raw) Unmarshal(b []byte, v any) error {
	to := v.(*[]byte)
	*to = append((*to)[:0], b...)
	return nil
}

const (
	grpcUp   = "/volume/Up"   // messages up, then how many bytes they had
	grpcDown = "/volume/Down" // how many bytes are wanted, then messages down
)

// grpc serves both methods.
func (n *Nodes) grpc(_ any, st grpc.ServerStream) error {
	var m []byte
	if method, _ := grpc.MethodFromServerStream(st); method == grpcDown {
		if err := st.RecvMsg(&m); err != nil {
			return err
		}
		left, err := strconv.ParseInt(string(m), 10, 64)
		for piece := make([]byte, pieceBytes); err == nil && left > 0; {
			part := piece[:min(left, pieceBytes)]
			if err = st.SendMsg(&part); err == nil {
				n.Sent.Add(int64(len(part)))
				left -= int64(len(part))
			}
		}
		return err
	}
	for total := int64(0); ; {
		n.await(st.Context())
		err := st.RecvMsg(&m)
		if errors.Is(err, io.EOF) {
			m = strconv.AppendInt(nil, total, 10)
			return st.SendMsg(&m)
		}
		if err != nil {
			return err
		}
		total += int64(len(m))
		n.Read.Add(int64(len(m)))
	}
}

// grpcClient speaks over TLS.
func grpcClient(t testing.TB, e Edge) Client {
	conf := &tls.Config{ServerName: e.Name, InsecureSkipVerify: true}
	c, err := grpc.NewClient("passthrough:///"+e.Secure, grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	open := func(ctx context.Context, method string) (grpc.ClientStream, error) {
		return c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	}
	up := func(ctx context.Context, body io.Reader) (int64, error) {
		st, err := open(ctx, grpcUp)
		if err != nil {
			return 0, err
		}
		for b := make([]byte, pieceBytes); ; {
			n, err := body.Read(b)
			if part := b[:n]; n > 0 {
				if err := st.SendMsg(&part); err != nil {
					return 0, fmt.Errorf("send: %w", errors.Join(err, st.RecvMsg(&part)))
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return 0, err
			}
		}
		var answer []byte
		if err := errors.Join(st.CloseSend(), st.RecvMsg(&answer)); err != nil {
			return 0, err
		}
		return strconv.ParseInt(string(answer), 10, 64)
	}
	down := func(ctx context.Context, n int64) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancel(ctx)
		st, err := open(ctx, grpcDown)
		if err != nil {
			cancel()
			return nil, err
		}
		m := strconv.AppendInt(nil, n, 10)
		if err := errors.Join(st.SendMsg(&m), st.CloseSend()); err != nil {
			cancel()
			return nil, err
		}
		return &messages{next: func(m *[]byte) error { return st.RecvMsg(m) }, close: func() error { cancel(); return nil }}, nil
	}
	return Client{Name: "gRPC", Up: up, Down: down}
}

// messages is a stream of messages as one of bytes. next returns io.EOF at a whole stream's end.
type messages struct {
	next  func(*[]byte) error
	close func() error
	m     []byte // the message that is being read
	rest  []byte // what is left of it
}

// Read implements io.Reader.
func (s *messages) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if err := s.next(&s.m); err != nil {
			return 0, err
		}
		s.rest = s.m
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (s *messages) Close() error { return s.close() }
