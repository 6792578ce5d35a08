// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"meridian/topology"
)

// The last good topology on disk is two lines: a header with the checksum of the second line, and the body. Ours.
const (
	diskFile      = "topology.json"
	diskPrevious  = ".prev"
	diskBroken    = ".broken" // kept for people
	diskFormat    = 1
	maxDiskBytes  = 256 << 20
	maxDiskHeader = 1024
)

type diskHeader struct {
	Format int    `json:"format"`
	SHA256 string `json:"sha256"`
}

// diskBody is what is saved. Its items are sorted by key, so that equal topologies are equal bytes.
type diskBody struct {
	Cluster  string     `json:"cluster"`
	Revision int64      `json:"revision"`
	Items    []diskItem `json:"items"`
}

type diskItem struct {
	Key      string          `json:"key"`
	Revision int64           `json:"revision"`
	Value    json.RawMessage `json:"value"`
}

// items decodes the body's items and leaves out what does not validate.
func (b *diskBody) items() map[string]*item {
	out := make(map[string]*item, len(b.Items))
	for _, d := range b.Items {
		if it, _ := decode(d.Key, kv{value: d.Value, mod: d.Revision}); it != nil {
			it.disk = true
			out[d.Key] = it
		}
	}
	return out
}

// bodyOf makes the body of the items in use. What processes report of themselves is left out: it changes every second
// and is worth nothing after a restart.
func bodyOf(items map[string]*item, held map[string]heldItem) *diskBody {
	b := &diskBody{Items: make([]diskItem, 0, len(items)+len(held))}
	add := func(key string, it *item) {
		d := diskItem{Key: key, Revision: it.mod, Value: it.value}
		switch r := it.res.(type) {
		case *topology.Node:
			if r.Load != nil {
				quiet := *r
				quiet.Load = nil
				d.Value, d.Revision = topology.Encode(&quiet), 0
			}
		case *topology.Edge:
			if r.Report != nil {
				quiet := *r
				quiet.Report = nil
				d.Value, d.Revision = topology.Encode(&quiet), 0
			}
		}
		b.Items = append(b.Items, d)
	}
	for key, it := range items {
		add(key, it)
	}
	for key, h := range held {
		if items[key] == nil {
			add(key, h.item)
		}
	}
	slices.SortFunc(b.Items, func(x, y diskItem) int { return cmp.Compare(x.Key, y.Key) })
	return b
}

// loadDisk reads the last good topology from dir, or the one before it where that is missing or broken. It returns nil
// where there is none; err then says what was broken, if anything was.
func loadDisk(dir string) (*diskBody, error) {
	path := filepath.Join(dir, diskFile)
	b, err := readDisk(path)
	if err == nil {
		return b, nil
	}
	b, prevErr := readDisk(path + diskPrevious)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else { // out of the way, so that the next write does not put it in the place of the good one
		_ = os.Rename(path, path+diskBroken) // on a read-only disk there is no next write
	}
	if prevErr != nil && !errors.Is(prevErr, fs.ErrNotExist) {
		err = errors.Join(err, prevErr)
	}
	return b, err
}

func readDisk(path string) (*diskBody, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := io.ReadAll(io.LimitReader(f, maxDiskBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	b, err := parseDisk(all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func parseDisk(all []byte) (*diskBody, error) {
	if len(all) > maxDiskBytes {
		return nil, fmt.Errorf("more than %d bytes", maxDiskBytes)
	}
	head, body, ok := bytes.Cut(all, []byte("\n"))
	if !ok || len(head) > maxDiskHeader {
		return nil, errors.New("no header")
	}
	var h diskHeader
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if h.Format != diskFormat {
		return nil, fmt.Errorf("format %d is not known to this program; want %d", h.Format, diskFormat)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != h.SHA256 {
		return nil, errors.New("the checksum does not match")
	}
	var b diskBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return &b, nil
}

// encodeDisk returns the file's bytes.
func encodeDisk(b *diskBody) ([]byte, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode the last good topology: %w", err)
	}
	sum := sha256.Sum256(body)
	head, err := json.Marshal(diskHeader{Format: diskFormat, SHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, fmt.Errorf("encode the last good topology: %w", err)
	}
	return slices.Concat(head, []byte("\n"), body), nil
}

// writeDisk replaces the file so that a crash at any point leaves it or the one before it whole.
func writeDisk(dir string, all []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, diskFile)
	if err := writeSynced(path+".tmp", all); err != nil {
		return err
	}
	if err := os.Rename(path, path+diskPrevious); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func writeSynced(path string, all []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(all)
	return errors.Join(err, f.Sync(), f.Close())
}
