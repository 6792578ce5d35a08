// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/config"
)

const running = `name: edge-1
region: lab
http: {listen: ["127.0.0.1:8080"]}
etcd: {endpoints: ["http://127.0.0.1:2379"]}
`

func TestAReloadNamesEveryFieldThatCannotChange(t *testing.T) {
	old, problems := config.ParseEdge("edge.yaml", []byte(running))
	if problems != nil {
		t.Fatal(problems)
	}
	_, problems = config.ParseReload(old, "edge.yaml", []byte(`name: edge-2
region: lab2
http: {listen: ["127.0.0.1:8081"]}
admin: {listen: "127.0.0.1:1"}
dns: {listen: ["127.0.0.1:53"]}
data_dir: /tmp/x
etcd: {endpoints: ["http://127.0.0.1:1"]}
limits: {head_timeout: 1ns}
`))
	var got []string
	for _, p := range problems {
		got = append(got, p.Field)
	}
	want := []string{"name", "region", "admin.listen", "dns.listen", "data_dir", "etcd.endpoints", "limits.head_timeout"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s%v", diff, problems)
	}
	if want := `edge.yaml:1:7: name: it can't change while the edge runs: the edge is registered by it; restart the edge to go from edge-1 to edge-2`; problems[0].Error() != want {
		t.Errorf("got %s", problems[0])
	}
}

func TestAReloadTellsWhatChanges(t *testing.T) {
	old, _ := config.ParseEdge("edge.yaml", []byte(running))
	next, problems := config.ParseReload(old, "edge.yaml", []byte(running+"limits: {head_timeout: 3s, max_connections: 16384}\nlog: {level: debug}\nmcp: {max_sessions: 5}\n"))
	if problems != nil {
		t.Fatal(problems)
	}
	if diff := cmp.Diff([]string{"limits.head_timeout", "log.level", "mcp.max_sessions"}, config.Changes(old, next)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := config.Changes(old, old); len(got) > 0 {
		t.Errorf("no change: %v", got)
	}
}

func TestWhatClientsMayNotSayIsChecked(t *testing.T) {
	_, problems := config.ParseEdge("edge.yaml", []byte(running+`trusted_proxies: [10.0.0.0/8, "2001:db8::/32", 10.0.0.1, 10.0.0.1/8]
headers: {managed: [X-Auth-User, x_auth, "", "a b"]}
retries: {budget_percent: 101, min_concurrent: -1, max_kept_body_bytes: 1}
limits: {min_body_rate: -2, write_timeout: 1ms, max_requests_per_connection: -1, max_streams: 1001}
`))
	var got []string
	for _, p := range problems {
		got = append(got, p.Field)
	}
	want := []string{"trusted_proxies[2]", "trusted_proxies[3]", "headers.managed[1]", "headers.managed[2]", "headers.managed[3]",
		"retries.budget_percent", "retries.min_concurrent", "retries.max_kept_body_bytes",
		"limits.min_body_rate", "limits.write_timeout", "limits.max_requests_per_connection", "limits.max_streams"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s%v", diff, problems)
	}
}
