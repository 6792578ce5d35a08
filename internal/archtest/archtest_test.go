// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestRepositoryKeepsItsArchitecture(t *testing.T) {
	packages, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 2 {
		t.Fatalf("got %d packages", len(packages))
	}
	for _, v := range Check(packages, Meridian) {
		t.Error(v)
	}
}

// small are rules for the sources below.
var small = Rules{
	Module: "m",
	Layers: map[string]Layer{
		"nouns": Nouns, "pick": Decide, "judge": Decide, "pick/sim": Decide,
		"proxy": Do, "proxy/http1": Do, "proxy/pool": Do, "dns": Do, "pick/io": Do, "cmd/a": Wire, "cmd/a/dev": Wire, "cmd/b": Wire, "internal/lab": Support,
	},
	Owners: map[string]Owner{
		"example.org/dns": {Room: "dns"}, "example.org/metrics": {From: Do}, "example.org/yaml/v3": {Room: "judge"},
	},
	TestModules: []string{"example.org/cmp"},
	Tests:       map[string][]string{"proxy": {"example.org/dns"}},
}

// file is a source with the licence and a package comment.
func file(code string) string {
	return licenceLine + "// Package p is one.\npackage p\n\n" + code
}

// violations checks small, with the given files in the place of what they are, and each other package as it should be.
func violations(t *testing.T, rules Rules, files map[string]string) []string {
	t.Helper()
	packages := map[string]*Package{}
	for p := range small.Layers {
		packages[p] = &Package{Path: p}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := ParseFile(name, []byte(files[name]))
		if err != nil {
			t.Fatal(err)
		}
		dir := name[:strings.LastIndexByte(name, '/')]
		if packages[dir] == nil {
			packages[dir] = &Package{Path: dir}
		}
		packages[dir].Files = append(packages[dir].Files, f)
	}
	var all []Package
	for _, p := range packages {
		all = append(all, *p)
	}
	var out []string
	for _, v := range Check(all, rules) {
		if v.Why == "" {
			t.Errorf("%s has no reason", v)
		}
		out = append(out, v.Where+": "+v.What)
	}
	return out
}

// fires checks that one file breaks exactly the rules named.
func fires(t *testing.T, name, source string, want ...string) {
	t.Helper()
	if got := violations(t, small, map[string]string{name: source}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func imports(path string) string { return file("import _ \"" + path + "\"\n") }

func TestImportsPointStrictlyDown(t *testing.T) {
	f := func(name, imported string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = name + ":6: imports " + want[i]
		}
		fires(t, name, imports(imported), want...)
	}
	f("proxy/a.go", "m/pick")
	f("cmd/a/a.go", "m/nouns")
	f("pick/a.go", "m/proxy", "proxy, upward (from layer 1 to 2)")
	f("pick/a.go", "m/pick/io", "pick/io, upward (from layer 1 to 2)")
	f("nouns/a.go", "m/pick", "pick, upward (from layer 0 to 1)")
	f("proxy/a.go", "m/dns", "dns, sideways")
	f("pick/a.go", "m/judge", "judge, sideways")
	f("cmd/a/a.go", "m/cmd/b", "cmd/b, sideways")
	f("cmd/a/a.go", "m/cmd/a/dev")
	f("proxy/a.go", "m/proxy/http1")
	f("proxy/http1/a.go", "m/proxy")
	f("proxy/http1/a.go", "m/proxy/pool")
	f("pick/sim/a.go", "m/pick")
	f("dns/a.go", "m/internal/lab", "internal/lab")
	f("dns/a_test.go", "m/internal/lab")
	f("dns/a_test.go", "m/proxy")
	f("internal/lab/a.go", "m/proxy")
}

func TestDecidersArePure(t *testing.T) {
	for _, banned := range []string{"net", "net/http", "os", "os/exec", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "syscall"} {
		fires(t, "pick/a.go", imports(banned), "pick/a.go:6: imports "+banned)
		fires(t, "nouns/a.go", imports(banned), "nouns/a.go:6: imports "+banned)
		fires(t, "pick/a_test.go", imports(banned))
		fires(t, "proxy/a.go", imports(banned))
	}
	fires(t, "pick/a.go", file("import (\n_ \"net/netip\"\n_ \"net/url\"\n_ \"sync/atomic\"\n_ \"embed\"\n)\n"))
	fires(t, "pick/a.go", file("func f() { go f() }\n"), "pick/a.go:6: starts a goroutine")
	fires(t, "proxy/a.go", file("func f() { go f() }\n"))
	fires(t, "pick/a_test.go", file("func f() { go f() }\n"))
}

func TestDecidersDoNotReadTheClock(t *testing.T) {
	for _, name := range clock {
		fires(t, "pick/a.go", file("import \"time\"\n\nvar x = time."+name+"\n"), "pick/a.go:8: uses time."+name)
		fires(t, "pick/a.go", file("import clock \"time\"\n\nvar x = clock."+name+"\n"), "pick/a.go:8: uses time."+name)
	}
	fires(t, "pick/a.go", file("import \"time\"\n\nvar x = time.Second\nvar y = time.Time{}.Sub\n"))
	fires(t, "pick/a.go", file("var time struct{ Now int }\nvar x = time.Now\n"))
	fires(t, "pick/a.go", file("import . \"time\"\n\nvar x = Now\n"), "pick/a.go: imports time with a dot")
}

func TestThirdPartyModuleHasOneOwner(t *testing.T) {
	f := func(name, imported string, wrong bool) {
		t.Helper()
		var want []string
		if wrong {
			want = []string{name + ":6: imports " + imported}
		}
		fires(t, name, imports(imported), want...)
	}
	f("dns/a.go", "example.org/dns", false)
	f("dns/a.go", "example.org/dns/sub", false)
	f("proxy/a.go", "example.org/dns", true)
	f("cmd/a/a.go", "example.org/dns", true)
	f("proxy/a.go", "example.org/metrics", false)
	f("cmd/a/a.go", "example.org/metrics", false)
	f("pick/a.go", "example.org/metrics", true)
	f("judge/a.go", "example.org/yaml/v3", false)
	f("pick/a.go", "example.org/yaml/v3", true)
	f("dns/a.go", "example.org/unknown", true)
	f("dns/a.go", "example.org/cmp", true)
	f("dns/a_test.go", "example.org/cmp/opts", false)
	f("dns/a_test.go", "example.org/unknown", true)
	f("proxy/http1/a_test.go", "example.org/dns", false)
	f("cmd/a/a_test.go", "example.org/dns", true)
	f("internal/lab/a.go", "example.org/unknown", false)
}

func TestMapNamesEveryPackageAndNoOther(t *testing.T) {
	fires(t, "new/a.go", file(""), "new: is not in the map of layers")
	gone := small
	gone.Layers = maps.Clone(small.Layers)
	gone.Layers["gone"] = Do
	if got := violations(t, gone, nil); len(got) != 1 || got[0] != "gone: is in the map of layers and not in the repository" {
		t.Errorf("got %q", got)
	}
}

func TestPackageSaysOnceWhatItIs(t *testing.T) {
	bare := licenceLine + "package p\n"
	fires(t, "dns/a.go", bare, "dns: has no package comment")
	fires(t, "dns/a.go", licenceLine+"//go:build linux\n\npackage p\n", "dns: has no package comment")
	fires(t, "dns/a_test.go", bare)
	got := violations(t, small, map[string]string{"dns/a.go": file(""), "dns/b.go": file(""), "dns/c.go": bare})
	if want := "dns: has package comments in dns/a.go and dns/b.go"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFileSaysItsLicence(t *testing.T) {
	want := "dns/a.go: does not start with the licence line and a blank line"
	fires(t, "dns/a.go", "// Package p is one.\npackage p\n", want)
	fires(t, "dns/a.go", "// SPDX-License-Identifier: Apache-2.0\n// Package p is one.\npackage p\n", want)
}

func TestPackageNamesSaySomething(t *testing.T) {
	rules := small
	rules.Layers = maps.Clone(small.Layers)
	for _, name := range bannedNames {
		rules.Layers["dns/"+name] = Do
		got := violations(t, rules, map[string]string{"dns/" + name + "/a.go": file("")})
		if want := "dns/" + name + ": is called " + name; len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		delete(rules.Layers, "dns/"+name)
	}
}
