// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Bounds of the access log's queue. Ours: a disk that stalls costs lines, never requests.
const (
	logQueue = 4096     // lines that wait; further ones are dropped and counted
	logBatch = 64 << 10 // bytes that are written at once
)

// accessLog writes lines from one goroutine.
type accessLog struct {
	w       atomic.Pointer[io.Writer] // nil: none is wanted
	lines   chan *[]byte
	pool    sync.Pool
	dropped atomic.Uint64
	failed  atomic.Uint64
}

func newAccessLog(w io.Writer) *accessLog {
	a := &accessLog{
		lines: make(chan *[]byte, logQueue),
		pool:  sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }},
	}
	a.to(w)
	return a
}

// add queues a line, or drops it. It never waits.
func (a *accessLog) add(l *line, d *record) {
	b := a.pool.Get().(*[]byte)
	*b = l.append((*b)[:0], d)
	select {
	case a.lines <- b:
	default:
		a.dropped.Add(1)
		a.pool.Put(b)
	}
}

// run writes lines until ctx ends, and then those that are queued.
func (a *accessLog) run(ctx context.Context) {
	batch := make([]byte, 0, logBatch)
	for {
		select {
		case b := <-a.lines:
			batch = a.write(batch[:0], b)
		case <-ctx.Done():
			for {
				select {
				case b := <-a.lines:
					batch = a.write(batch[:0], b)
				default:
					return
				}
			}
		}
	}
}

// write writes a line and those that wait behind it, as far as they fit.
func (a *accessLog) write(batch []byte, b *[]byte) []byte {
	for {
		batch = append(batch, *b...)
		a.pool.Put(b)
		if len(batch) < logBatch {
			select {
			case b = <-a.lines:
				continue
			default:
			}
		}
		w := a.w.Load()
		if w == nil {
			return batch // it was turned off meanwhile
		}
		if _, err := (*w).Write(batch); err != nil {
			a.failed.Add(1) // there is nobody to tell; the counter is on /metrics
		}
		return batch
	}
}
