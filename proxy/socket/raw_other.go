// SPDX-License-Identifier: Apache-2.0

//go:build !(linux && (amd64 || arm64)) || race

package socket

const haveRaw = false

// call is not used: reads and writes go through the net.Conn.
type call struct{ early bool }

func (*call) init(*call, func(*call, uintptr) bool) {}

func (*call) run(func(func(uintptr) bool) error, []byte, []byte) (int, error) {
	panic("socket: a raw call on a platform without any") // invariant: haveRaw is false
}

func (*call) runAsk(func(func(uintptr) bool) error, []byte, []byte) (int, error) {
	panic("socket: a raw call on a platform without any") // invariant: CanAsk says so
}

func (*call) runLazy(func(func(uintptr) bool) error, func() []byte) (int, error) {
	panic("socket: a raw call on a platform without any") // invariant: haveRaw is false
}

func (*call) once(func(func(uintptr)) error, []byte, []byte) (int, bool, error) {
	return 0, true, nil
}

func read(*call, uintptr) bool  { return true }
func write(*call, uintptr) bool { return true }

func heard(uintptr) bool { return true }
