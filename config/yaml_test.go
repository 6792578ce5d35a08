// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"meridian/config"
)

func TestYAMLKeepsTheOrderOfTheFields(t *testing.T) {
	v := struct {
		Z int               `json:"z"`
		A []any             `json:"a"`
		M map[string]string `json:"m"`
		E []string          `json:"e"`
		O struct{}          `json:"o"`
		N *int              `json:"n"`
	}{1, []any{true, 1.5, 1e30, nil, "x", []int{1, 2}}, map[string]string{"b": "1", "a": "yes"}, []string{}, struct{}{}, nil}
	b, err := config.EncodeYAML(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `z: 1
a:
  - true
  - 1.5
  - 1e+30
  - null
  - x
  - - 1
    - 2
m:
  a: "yes"
  b: "1"
e: []
o: {}
"n": null
`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzEncodeYAML checks that what is written means the same as the JSON.
func FuzzEncodeYAML(f *testing.F) {
	f.Add("a", "null")
	f.Add("<<", "~")
	f.Add("a: b\n - c", "# no\ttab\u2028")
	f.Add("1e3", "0x1F")
	f.Fuzz(func(t *testing.T, key, value string) {
		v := map[string]any{key: []any{value, map[string]any{value: key}}}
		b, err := config.EncodeYAML(v)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		j, _ := json.Marshal(v)
		if err := json.Unmarshal(j, &want); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", diff, b)
		}
	})
}
