// SPDX-License-Identifier: Apache-2.0

// Package mmdb reads MMDB files (MaxMind, DB-IP, ip-location-db, or an operator's own) into a geo.Table and lets it be
// exchanged while it is in use.
//
// It leaves lookups and ranking to geo. The whole file is read, verified and flattened when it is opened: afterwards a
// lookup costs what one in the embedded table costs, whatever happens to the file, and no code that parses the file's
// bytes runs on a query. The price is time and memory at the opening, some 0.3 s and 7 MiB for a country database.
// It starts no goroutine and watches nothing: the caller says when to Reload.
//
//	db, err := mmdb.Open("/etc/meridian/city.mmdb")
//	place := db.Locate(client)
//	err = db.Reload("/etc/meridian/city.mmdb") // on SIGHUP; if it fails, the old data stay in use
//
// # What it understands
//
// The country is country.iso_code, or the whole record's country_code; failing both, registered_country.iso_code. The
// continent is continent.code, or that of the country. Coordinates are location.latitude and location.longitude, unless
// location.accuracy_radius is over 500 km: those stand for a country, and the principal city that geo knows is better.
package mmdb

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"meridian/geo"
)

// MaxFileBytes bounds the size of a file: 512 MiB, several times the largest public city database.
const MaxFileBytes = 512 << 20

// minKeptRatio is the share that a new file must have of the old one's runs of addresses with one place (neighbours that
// agree are one run): a smaller one is more likely cut off or half built than right.
const minKeptRatio = 0.8

// DB holds the data of one MMDB file. It implements geo.Locator. Safe for concurrent use.
type DB struct {
	current atomic.Pointer[geo.Table] // never nil: readers take it once per lookup, Reload swaps it
	reload  sync.Mutex                // one Reload at a time, so that each compares with what it replaces
}

// Open reads, verifies and flattens the file at path. The error says what is wrong with the file.
func Open(path string) (*DB, error) {
	t, err := read(path)
	if err != nil {
		return nil, err
	}
	return newDB(t), nil
}

// OpenBytes is Open for the bytes of a file; name stands for the file in places and errors. It keeps no reference to b.
func OpenBytes(name string, b []byte) (*DB, error) {
	t, err := flatten(name, b, leavesAtMost)
	if err != nil {
		return nil, fmt.Errorf("mmdb %s: %w", name, err)
	}
	return newDB(t), nil
}

func newDB(t *geo.Table) *DB {
	db := &DB{}
	db.current.Store(t)
	return db
}

// Locate implements geo.Locator.
func (db *DB) Locate(a netip.Addr) geo.Place { return db.current.Load().Locate(a) }

// Built returns the time at which the data were made, as the file says, in UTC.
func (db *DB) Built() time.Time { return db.current.Load().Built() }

// Table returns the data in use now. A later Reload does not change it.
func (db *DB) Table() *geo.Table { return db.current.Load() }

// ErrShrunk says that a new file has less than 80 % of the runs of addresses of the one in use.
var ErrShrunk = errors.New("far smaller than the data in use")

// ErrOlder says that a new file is older than the one in use.
var ErrOlder = errors.New("older than the data in use")

// Reload exchanges the data for those of the file at path, at once for all readers. If it returns an error (that of
// Open, ErrShrunk or ErrOlder), the old data stay in use; to really go back, start anew.
func (db *DB) Reload(path string) error {
	db.reload.Lock()
	defer db.reload.Unlock()
	fresh, err := read(path)
	if err != nil {
		return err
	}
	old := db.current.Load()
	if was, is := runs(old), runs(fresh); float64(is) < minKeptRatio*float64(was) {
		return fmt.Errorf("mmdb %s: %d runs of addresses after %d: %w; check the file, or restart to use it",
			filepath.Base(path), is, was, ErrShrunk)
	}
	if was, is := old.Built(), fresh.Built(); is.Before(was) {
		return fmt.Errorf("mmdb %s: of %s after %s: %w; check the file, or restart to use it",
			filepath.Base(path), is.Format(time.RFC3339), was.Format(time.RFC3339), ErrOlder)
	}
	db.current.Store(fresh)
	return nil
}

func runs(t *geo.Table) int {
	v4, v6 := t.Len()
	return v4 + v6
}

// read reads the file into memory rather than mapping it: a mapped file that is cut short while in use kills the process.
func read(path string) (*geo.Table, error) {
	name := filepath.Base(path)
	// The kind is checked before opening, because opening a pipe or reading a device may never end.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("mmdb: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFileBytes {
		return nil, fmt.Errorf("mmdb %s: want a regular file of at most %d bytes, got %s of %d bytes",
			name, MaxFileBytes, info.Mode(), info.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mmdb: %w", err)
	}
	defer f.Close()
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("mmdb %s: read %d bytes: %w", name, len(b), err)
	}
	t, err := flatten(name, b, leavesAtMost)
	if err != nil {
		return nil, fmt.Errorf("mmdb %s: %w", name, err)
	}
	return t, nil
}
