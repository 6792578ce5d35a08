// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestConnectionsFitIntoTheOpenFiles(t *testing.T) {
	for _, c := range []struct {
		max   int
		files uint64
		want  int
	}{
		{16384, 1 << 20, 16384}, {16384, 20000, 16384}, {19000, 20000, 18750}, {16384, 1024, 960}, {960, 1024, 960}, {1, 1 << 63, 1},
	} {
		var said bytes.Buffer
		got := fitInto(c.max, c.files, slog.New(slog.NewTextHandler(&said, nil)))
		if got != c.want || strings.Contains(said.String(), "is lowered") != (c.want < c.max) {
			t.Errorf("%d into %d files: %d, want %d; said %q", c.max, c.files, got, c.want, said.String())
		}
	}
}
