// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhoMayAskForAnExplanationIsThisMachineUnlessSaidOtherwise(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "[127.0.0.0/8 ::1/128]",
		"explain: {off: true}\n":           "[]",
		"explain: {allow: [10.0.0.0/8]}\n": "[10.0.0.0/8]",
	} {
		e, problems := ParseEdge("edge.yaml", []byte("name: a\nregion: eu\netcd: {endpoints: ['http://127.0.0.1:2379']}\nadvertise: {addresses: [192.0.2.1]}\n"+in), func(*Edge) {})
		if len(problems) > 0 {
			t.Fatalf("%q: %v", in, problems)
		}
		if got := fmt.Sprint(e.Explain.Clients()); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestMistakesInExplainAreNamed(t *testing.T) {
	for in, want := range map[string]string{
		"explain: {allow: [10.0.0.1/8]}":                                 "explain.allow[0]: 10.0.0.1/8 has bits behind its length; want 10.0.0.0/8",
		"explain: {allow: [10.0.0.0/8], off: true}":                      "explain.off: it is true, and explain.allow names who may ask; want one of the two",
		"explain: {allow: [" + strings.Repeat("10.0.0.0/8, ", 65) + "]}": "explain.allow: 65 prefixes; at most 64",
		"explain: {allow: [all]}":                                        "explain.allow[0]",
	} {
		_, problems := ParseEdge("edge.yaml", []byte("name: a\nregion: eu\netcd: {endpoints: ['http://127.0.0.1:2379']}\nadvertise: {addresses: [192.0.2.1]}\n"+in+"\n"), func(*Edge) {})
		if got := fmt.Sprint(problems); len(problems) != 1 || !strings.Contains(got, want) {
			t.Errorf("%.60q: %v, want %s", in, problems, want)
		}
	}
}
