// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"meridian/geo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const input = "../testdata/country.mmdb"

func TestTheSameFileGivesTheSameTable(t *testing.T) {
	var first []byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "country.bin.gz")
		var stdout bytes.Buffer
		if err := run([]string{"-in", input, "-out", out}, &stdout); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stdout.String(), "data of 2026-06-17") {
			t.Errorf("it says %q", stdout.String())
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(got, first) {
			t.Error("the second run wrote other bytes")
		}
		first = got
	}
	table, err := geo.Decode("test", first)
	if err != nil {
		t.Fatal(err)
	}
	for addr, country := range map[string]string{"81.2.69.160": "GB", "193.157.1.1": "NO", "2001:700::1": "NO", "8.8.8.8": ""} {
		if got := table.Locate(netip.MustParseAddr(addr)); got.Country != country {
			t.Errorf("Locate(%s) = %+v, want %q", addr, got, country)
		}
	}
}

func TestMisuseIsAnErrorAndWritesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	for want, args := range map[string][]string{
		"want -in FILE":  {"-out", out},
		"nothing else":   {"-in", input, "-out", out, "more"},
		"has the sha256": {"-in", input, "-out", out, "-sha256", "00"},
		"none.mmdb":      {"-in", "none.mmdb", "-out", out},
		"main.go":        {"-in", "main.go", "-out", out},
	} {
		if err := run(args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run(%q): %v, want %q in it", args, err, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("run(%q) wrote a file", args)
		}
	}
}
