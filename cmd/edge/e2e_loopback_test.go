// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOneLoopbackAddressGivesEachRegionItsOwnPorts runs edge dev where only 127.0.0.1 exists, as on macOS: in a network
// namespace of the test's own.
func TestOneLoopbackAddressGivesEachRegionItsOwnPorts(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"unshare", "ip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			skipLoudly(t, tool+" is not installed (Debian: util-linux, iproute2, curl)")
		}
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED FOR LACK OF RIGHTS: only root makes a network namespace")
	}
	home, dir := t.TempDir(), t.TempDir()
	// The namespace is the shell's, and the commands must run in it too: so the shell runs all of them.
	script := `set -e
ip link set lo up
ip addr del 127.0.0.1/8 dev lo
ip addr add 127.0.0.1/32 dev lo
"$EDGE" dev --data-dir "$DATA" --regions us-east-1,eu-central-1 --workers 1 > "$DATA.out" 2>&1 &
dev=$!
for i in $(seq 600); do grep -q '^ready: ' "$DATA.out" && break; kill -0 $dev; sleep 0.1; done
cat "$DATA.out"
curl -s http://127.0.0.1:8080/healthz
curl -s http://127.0.0.1:8081/healthz
"$EDGE" explain dns mcp.edge.test --from 81.2.69.160
kill -INT $dev
wait $dev
`
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "sh", "-c", script)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+home, "HOME="+home, "EDGE="+filepath.Join(binDir, "edge"), "DATA="+filepath.Join(dir, "data"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"one loopback address only", "http://127.0.0.1:8081", `"edge":"edge-us-east-1"`, `"edge":"edge-eu-central-1"`, "nearest region that can serve"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}
