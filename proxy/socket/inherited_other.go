// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package socket

import "net"

// configure leaves it to package net to set each connection's options.
func configure(*net.ListenConfig) {}
