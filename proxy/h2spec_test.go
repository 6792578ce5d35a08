// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestH2spec runs h2spec --strict, whose path is in H2SPEC (`make h2spec`), against the listeners. In the clear one of its
// 146 cases cannot pass: an invalid preface there is an HTTP/1.1 request, which gets its 400.
func TestH2spec(t *testing.T) {
	program := os.Getenv("H2SPEC")
	if program == "" {
		t.Skip("H2SPEC is not set; make h2spec installs the program and sets it")
	}
	e := newEdge(t, withTLS(t, "localhost"))
	e.httpNode("n1", "web", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // an answer before the body's end could overtake h2spec's mistake
		io.WriteString(w, "long enough to be held back by a small window")
	})
	for _, c := range []struct {
		addr string
		args []string
		want int
	}{{e.addr, nil, 145}, {e.secureAddr(), []string{"-t", "-k"}, 146}} {
		_, port, err := net.SplitHostPort(c.addr)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		out, _ := exec.CommandContext(ctx, program, append(c.args, "-h", "127.0.0.1", "-p", port, "--strict", "-o", "5")...).CombinedOutput()
		cancel()
		passed := 0
		for line := range strings.Lines(string(out)) {
			fmt.Sscanf(line, "146 tests, %d passed", &passed)
		}
		_, failures, _ := strings.Cut(string(out), "Failures:")
		t.Logf("h2spec %v: %d of 146 passed %s", c.args, passed, failures)
		if passed < c.want {
			t.Errorf("%d passed, want at least %d\n%s", passed, c.want, out)
		}
	}
}
