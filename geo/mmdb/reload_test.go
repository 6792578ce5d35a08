// SPDX-License-Identifier: Apache-2.0

package mmdb

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func save(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// smallFile has one network.
func smallFile(t testing.TB) []byte {
	w := newWriter(6, 24, day.AddDate(0, 0, 1))
	w.put(t, prefix("81.2.64.0/18"), rec{"country_code": "SE"})
	return w.bytes()
}

func TestReloadKeepsTheOldDataUnlessTheNewAreGood(t *testing.T) {
	db, err := Open(save(t, countryFile(t, day)))
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("81.2.69.160")
	before := db.Locate(client)
	table := db.Table()
	for _, c := range []struct {
		name string
		path string
		want error
	}{
		{"smaller", save(t, smallFile(t)), ErrShrunk},
		{"older", save(t, countryFile(t, day.AddDate(0, 0, -1))), ErrOlder},
		{"missing", filepath.Join(t.TempDir(), "none.mmdb"), os.ErrNotExist},
		{"damaged", save(t, countryFile(t, day)[:100]), nil},
		{"a directory", t.TempDir(), nil},
	} {
		err := db.Reload(c.path)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: err = %v, want %v", c.name, err, c.want)
		}
		if got := db.Locate(client); got != before || db.Table() != table {
			t.Errorf("%s: afterwards %+v, want what it was: %+v", c.name, got, before)
		}
	}
	newer := day.AddDate(0, 0, 1)
	if err := db.Reload(save(t, countryFile(t, newer))); err != nil {
		t.Fatal(err)
	}
	if !db.Built().Equal(newer) {
		t.Errorf("built %v, want %v", db.Built(), newer)
	}
}

func TestReadersGoOnWhileTheDataAreExchanged(t *testing.T) {
	path := save(t, countryFile(t, day))
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	client, done := netip.MustParseAddr("81.2.69.160"), make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := db.Locate(client); got.Country != "GB" {
					t.Errorf("Locate = %+v", got)
					return
				}
			}
		})
	}
	for range 20 {
		if err := db.Reload(path); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	path := save(t, nil)
	if err := os.Truncate(path, MaxFileBytes+1); err != nil { // sparse: it takes no space
		t.Skip("no sparse files here: ", err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("err = %v, want one that says the bound", err)
	}
}

func TestWhatIsNoFileIsRefusedAtOnce(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, os.DevNull, t.TempDir()} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "want a regular file") {
			t.Errorf("Open(%s): %v, want an error that says so", path, err)
		}
	}
}

var rewrite = flag.Bool("rewrite", false, "write testdata/country.mmdb")

// The file is there for the tests of the flatten command, which cannot see the writer.
func TestTheFileInTestdataIsWhatTheWriterWrites(t *testing.T) {
	const path = "testdata/country.mmdb"
	w := newWriter(6, 24, time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC))
	w.put(t, prefix("81.2.64.0/18"), rec{"country_code": "GB"})
	w.put(t, prefix("193.156.0.0/15"), rec{"country_code": "NO"})
	w.put(t, prefix("2001:700::/32"), rec{"country_code": "NO"})
	want := w.bytes()
	if *rewrite {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
		t.Errorf("%s is another (%v); -rewrite makes it anew", path, err)
	}
}

func BenchmarkLocate(b *testing.B) {
	db := open(b, countryFile(b, day))
	client := netip.MustParseAddr("81.2.69.160")
	if n := testing.AllocsPerRun(100, func() { db.Locate(client) }); n != 0 {
		b.Errorf("it allocates %v times", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		db.Locate(client)
	}
}
