// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"os"
)

// journal is a node's record of the requests that it has begun and finished to execute: a file, since what was written to one outlives
// a process that is killed. A node appends, all of its lives to one file; the harness reads when the load has ended.
type journal struct {
	file *os.File
}

// entryBytes is the size of a record: the request's number shifted left by one, and whether it is the end.
const entryBytes = 8

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the node's journal: %w", err)
	}
	return &journal{f}, nil
}

// note appends a record. The kernel has it when note returns; records of one write are not torn.
func (j *journal) note(id uint64, end bool) error {
	v := id << 1
	if end {
		v |= 1
	}
	_, err := j.file.Write(binary.LittleEndian.AppendUint64(nil, v))
	return err
}

// executions counts how often a request was begun and finished on all nodes, and names those that began it.
type executions struct {
	begun, ended int
	on           []string
}

// readJournal adds what is in a node's journal to all.
func readJournal(path, node string, all map[uint64]executions) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the node's journal: %w", err)
	}
	if len(b)%entryBytes != 0 {
		return fmt.Errorf("the node's journal %s ends within a record", path)
	}
	for ; len(b) > 0; b = b[entryBytes:] {
		v := binary.LittleEndian.Uint64(b)
		e := all[v>>1]
		if v&1 == 0 {
			e.begun++
			e.on = append(e.on, node)
		} else {
			e.ended++
		}
		all[v>>1] = e
	}
	return nil
}
