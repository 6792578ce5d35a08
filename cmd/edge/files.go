// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"syscall"
)

// filesAside is the part of the files that the program may open, one in this many, which clients' connections leave to
// nodes, the admin API, DNS and logs. Ours.
const filesAside = 16

// fitFiles returns how many clients' connections there may be where max are configured: those above are shed with an answer,
// which must come before the files are used up and nobody can be told anything.
func fitFiles(max int, log *slog.Logger) int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return max // who can't know can't do better
	}
	return fitInto(max, l.Cur, log)
}

func fitInto(max int, files uint64, log *slog.Logger) int {
	most := files - files/filesAside
	if uint64(max) <= most {
		return max
	}
	log.Warn("limits.max_connections is lowered to what the program may open; raise the limit of open files (LimitNOFILE, ulimit -n)",
		"max_connections", max, "in_force", most, "open_files", files)
	return int(most)
}
