// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"meridian/topology"
)

func savedBody(t *testing.T, n int) *diskBody {
	t.Helper()
	items := map[string]*item{}
	for _, r := range fleet(n) {
		k := desiredKey(r.Key())
		it, m := decode(k, kv{value: topology.Encode(r), mod: 3})
		if it == nil {
			t.Fatal(m)
		}
		items[k] = it
	}
	b := bodyOf(items, nil)
	b.Cluster, b.Revision = "abc", 7
	return b
}

func TestWhatIsSavedIsReadBack(t *testing.T) {
	dir := t.TempDir()
	if b, err := loadDisk(dir); b != nil || err != nil {
		t.Errorf("an empty directory: %v, %v", b, err)
	}
	s := newSaver(dir, (&logBuffer{}).logger())
	for n := 1; n <= 2; n++ {
		s.offer(savedBody(t, n))
		s.save()
	}
	b, err := loadDisk(dir)
	if err != nil || b.Revision != 7 || b.Cluster != "abc" || len(b.items()) != 4 {
		t.Fatalf("%+v, %v", b, err)
	}
	if err := os.Remove(filepath.Join(dir, diskFile)); err != nil { // as after a crash between two renames
		t.Fatal(err)
	}
	if b, err = loadDisk(dir); err != nil || len(b.items()) != 3 {
		t.Errorf("the one before: %+v, %v", b, err)
	}
	info, err := os.Stat(filepath.Join(dir, diskFile+diskPrevious))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestEveryPrefixAndEveryChangedByteOfTheFileIsRefused(t *testing.T) {
	all, err := encodeDisk(savedBody(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseDisk(all); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if _, err := parseDisk(all[:i]); err == nil {
			t.Errorf("the first %d bytes were taken", i)
		}
		bad := append([]byte{}, all...)
		bad[i] ^= 0x11
		if b, err := parseDisk(bad); err == nil && i > 80 {
			t.Errorf("a change of byte %d was taken: %+v", i, b)
		}
	}
}

func TestTheSameTopologyIsNotWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	s := newSaver(dir, (&logBuffer{}).logger())
	loaded := node(0)
	loaded.Load = &topology.Load{InFlight: 3}
	k := liveKey(loaded.Key())
	for i := range 3 {
		loaded.Load.InFlight = i
		it, _ := decode(k, kv{value: topology.Encode(loaded), mod: int64(i + 1)})
		s.offer(bodyOf(map[string]*item{k: it}, nil))
		s.save()
	}
	if _, err := os.Stat(filepath.Join(dir, diskFile+diskPrevious)); !os.IsNotExist(err) {
		t.Errorf("a changed load was written: %v", err)
	}
}

func TestADiskThatCannotBeWrittenIsToldOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logs := &logBuffer{}
	s := newSaver(filepath.Join(file, "below-a-file"), logs.logger())
	for n := 1; n <= 3; n++ {
		s.offer(savedBody(t, n))
		s.save()
	}
	if s.errors.Load() != 3 || logs.count("can't be kept on disk") != 1 {
		t.Errorf("%d errors, %d lines", s.errors.Load(), logs.count("can't be kept on disk"))
	}
}

func TestTheNewestTopologyIsWrittenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	s := newSaver(dir, (&logBuffer{}).logger())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.offer(savedBody(t, 1))
	s.offer(savedBody(t, 5))
	s.run(ctx)
	if b, err := loadDisk(dir); err != nil || len(b.Items) != 7 {
		t.Errorf("%+v, %v", b, err)
	}
}

func FuzzParseDisk(f *testing.F) {
	f.Add([]byte("{\"format\":1,\"sha256\":\"\"}\n{}"))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, all []byte) {
		if b, err := parseDisk(all); err == nil {
			b.items()
		}
	})
}
