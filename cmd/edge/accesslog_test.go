// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestTheAccessLogIsOpenedAnewWhereItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	r, err := openAccessLog(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(r, "one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(r, "two")
	if err := r.reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(r, "three")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	old, _ := os.ReadFile(path + ".1")
	now, _ := os.ReadFile(path)
	if string(old) != "one\ntwo\n" || string(now) != "three\n" {
		t.Errorf("got %q and %q", old, now)
	}
}

func TestALogThatCannotBeOpenedAnewStaysInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := openAccessLog(filepath.Join(dir, "access.log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Rename(dir, dir+".1"); err != nil {
		t.Fatal(err)
	}
	if err := r.reopen(); err == nil || !strings.HasPrefix(err.Error(), "access log: ") {
		t.Errorf("got %v", err)
	}
	if _, err := fmt.Fprintln(r, "one"); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir+".1", "access.log")); string(b) != "one\n" {
		t.Errorf("got %q", b)
	}
}

func TestWritersDoNotMindThatTheLogIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	r, err := openAccessLog(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				if _, err := fmt.Fprintln(r, "line"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := r.reopen(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	r.Close()
	if b, _ := os.ReadFile(path); string(b) != strings.Repeat("line\n", 400) {
		t.Errorf("%d bytes", len(b))
	}
}

func TestAnAccessLogThatIsOffOrOnStandardError(t *testing.T) {
	for _, where := range []string{"", "off"} {
		r, err := openAccessLog(where, nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(r, "x") // a reload may have turned it off just now
		if r.writer(where) != nil || r.reopen() != nil || r.Close() != nil {
			t.Errorf("%q: it is not off", where)
		}
	}
	var b bytes.Buffer
	r, err := openAccessLog("stderr", &b)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(r, "x")
	if r.reopen() != nil || r.Close() != nil || b.String() != "x" {
		t.Errorf("got %q", &b)
	}
}
