// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/user"
)

// author names who runs the command, for the records that other operators read: USER@HOST.
func author() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
