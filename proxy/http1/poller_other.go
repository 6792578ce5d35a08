// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package http1

import (
	"errors"
	"net"
	"time"
)

// poller does not exist where there is no epoll: each connection has a goroutine for as long as it lives.
type poller struct{ done chan struct{} }

func newPoller() (*poller, error) { return nil, errors.New("there is no poller on this platform") }

func (*poller) watch(*peer) bool                      { return false }
func (*poller) wakeAt(time.Time)                      {}
func (*poller) wait(func(fd int32, turn uint32)) bool { return false }
func (*poller) close()                                {}

func descriptor(net.Conn) (int32, bool) { return 0, false }
