// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
)

func TestWhomACommandAsks(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for flag, want := range map[string]string{
		"": defaultAdmin, "127.0.0.1:1": "http://127.0.0.1:1", "http://127.0.0.1:1/": "http://127.0.0.1:1/", "https://x": "https://x",
	} {
		if got := (&options{admin: flag}).adminClient().URL; got != want {
			t.Errorf("--admin %q: %s; want %s", flag, got, want)
		}
	}
	for _, flag := range []string{"", "http://127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2"} {
		c, err := (&options{etcd: flag}).etcdClient()
		if err != nil {
			t.Errorf("--etcd %q: %v", flag, err)
			continue
		}
		c.Close()
	}
	for _, flag := range []string{"http://[::1", "a,,b"} {
		if _, err := (&options{etcd: flag}).etcdClient(); !errors.As(err, &misuse{}) {
			t.Errorf("--etcd %q: %v; want a misuse", flag, err)
		}
	}
}
