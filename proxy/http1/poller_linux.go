// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollBatch is how many events are taken at once. Ours.
const pollBatch = 256

// poller is an epoll instance of our own, with an entry for each connection that is or was parked. It is itself waited for
// by Go's poller, so that waiting costs no thread. An entry is disarmed by its event until the connection is parked again.
type poller struct {
	fd     int
	file   *os.File // of fd
	raw    syscall.RawConn
	events [pollBatch]unix.EpollEvent
	n      int                   // of events
	take   func(fd uintptr) bool // made once
	done   chan struct{}         // closed when the goroutine has ended
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // has os.NewFile register it with Go's poller
		unix.Close(fd)
		return nil, fmt.Errorf("make an epoll instance non-blocking: %w", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		p.file.Close()
		return nil, fmt.Errorf("wait for an epoll instance: %w", err)
	}
	p.take = func(fd uintptr) bool {
		n, err := unix.EpollWait(int(fd), p.events[:], 0)
		p.n = max(n, 0)
		return n > 0 || err != nil && err != unix.EINTR && err != unix.EAGAIN
	}
	return p, nil
}

// watch has the next event of p reported, once. One that is there already is reported at once.
func (w *poller) watch(p *peer) bool {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: p.fd, Pad: int32(p.turn)}
	op := unix.EPOLL_CTL_MOD
	if !p.registered {
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(w.fd, op, int(p.fd), &e); err != nil {
		return false
	}
	p.registered = true
	return true
}

// wakeAt moves the time at which wait returns without an event. Zero: never.
func (w *poller) wakeAt(t time.Time) { w.file.SetReadDeadline(t) }

// wait reports what has arrived, and returns then or at the time of wakeAt. It returns false once the poller is closed.
func (w *poller) wait(arrived func(fd int32, turn uint32)) bool {
	w.n = 0
	if err := w.raw.Read(w.take); err != nil {
		return os.IsTimeout(err)
	}
	for _, e := range w.events[:w.n] {
		arrived(e.Fd, uint32(e.Pad))
	}
	return true
}

func (w *poller) close() {
	w.file.Close()
	<-w.done
}

// descriptor returns the file descriptor that a connection can be waited for by. A connection of TLS can be, too: when a
// read of it had to wait, it had nothing left that it could give without further bytes.
func descriptor(nc net.Conn) (int32, bool) {
	tcp, ok := kernelConn(nc).(*net.TCPConn)
	if !ok {
		return 0, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, false
	}
	fd := int32(-1)
	raw.Control(func(f uintptr) { fd = int32(f) })
	return fd, fd >= 0
}
