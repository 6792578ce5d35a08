// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"
	"time"

	"meridian/config"
)

func TestTLSNeedsAllOfItsParts(t *testing.T) {
	for in, want := range map[string]string{
		`{listen: ["127.0.0.2:8443"]}`:                                                             "edge.yaml:7:1: https.certificates: it is missing",
		`{certificates: [{cert: a, key: b}]}`:                                                      "nothing listens",
		`{listen: ["127.0.0.2:8443"], certificates: [{cert: a}]}`:                                  "https.certificates[0].key: it is missing",
		`{listen: ["127.0.0.2:8080"], certificates: [{cert: a, key: b}]}`:                          "overlaps",
		`{listen: ["127.0.0.2:8443"], certificates: [{cert: a, key: b}], handshake_timeout: 10ms}`: "out of bounds",
		`{listen: ["127.0.0.2:8443"], certificates: [{cert: "a\nb", key: b}]}`:                     "not a path",
	} {
		_, problems := config.ParseEdge("edge.yaml", []byte(shortEdge+"https: "+in))
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: got %v, want %q", in, problems, want)
		}
	}
	e := mustEdge(t, shortEdge+`https: {listen: ["127.0.0.2:8443"], certificates: [{cert: a, key: b}]}`)
	if e.HTTPS.HandshakeTimeout.Std() != 10*time.Second {
		t.Errorf("got %+v", e.HTTPS)
	}
}
