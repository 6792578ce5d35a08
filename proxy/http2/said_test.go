// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

func TestWhatIsSaidOutlivesItsAnswer(t *testing.T) {
	var s said
	for i := range 2 * saidMost {
		memory := []byte(fmt.Sprintf("name-%d", i/2) + "value")
		name := unsafe.String(&memory[0], len(memory)-5)
		value := unsafe.String(&memory[len(memory)-5], 5)
		f := s.lasting(name, value)
		want := strings.Clone(name)
		clear(memory) // as the next request does
		if f.Name != want || f.Value != "value" {
			t.Fatalf("got %q: %q", f.Name, f.Value)
		}
	}
	if f := s.lasting("name-1", "another"); f.Value != "another" {
		t.Errorf("got %q", f.Value)
	}
	if f := s.lasting("name-1", "another"); f.Value != "another" {
		t.Errorf("then %q", f.Value)
	}
	before := len(s)
	s.lasting("long", strings.Repeat("x", saidBytes))
	for i := range 2 * saidMost {
		s.lasting(fmt.Sprintf("more-%d", i), "x")
	}
	if before != saidMost || len(s) != saidMost {
		t.Errorf("it remembers %d and then %d fields", before, len(s))
	}
}
