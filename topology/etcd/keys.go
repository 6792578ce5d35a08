// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"strings"

	"meridian/topology"
)

// Where things stand in etcd. Desired state is directly below root, observed state below liveRoot.
const (
	root      = "/meridian/v1/"
	liveRoot  = root + "live/"
	acksRoot  = liveRoot + "acks/"
	edgesRoot = liveRoot + "edges/"
	seenRoot  = acksRoot + "seen/" // below acksRoot, so that no watcher reads it
	lockKey   = liveRoot + "lock/apply"
	stageRoot = root + "apply/"

	// recordName ends the key of a commit record. Chunks end in digits.
	recordName = "commit"
)

// place is what a key below root holds.
type place uint8

const (
	placeDesired place = iota
	placeLive
	placeChunk   // staged entries of an apply
	placeRecord  // the record that makes an apply's chunks count
	placeIgnored // read by others than the watcher: the lock, acknowledgements
)

// address is an etcd key taken apart.
type address struct {
	place place
	key   topology.Key // of placeDesired and placeLive; as found, so perhaps of no known kind
	id    string       // of placeChunk and placeRecord: which apply
}

// locate takes an etcd key below root apart. It refuses nothing: topology.Decode refuses unknown kinds and bad names.
func locate(etcdKey string) address {
	rest := strings.TrimPrefix(etcdKey, root)
	if etcdKey == lockKey || strings.HasPrefix(etcdKey, acksRoot) {
		return address{place: placeIgnored}
	}
	if staged, ok := strings.CutPrefix(etcdKey, stageRoot); ok {
		id, name, _ := strings.Cut(staged, "/")
		if name == recordName {
			return address{place: placeRecord, id: id}
		}
		return address{place: placeChunk, id: id}
	}
	a := address{place: placeDesired}
	if live, ok := strings.CutPrefix(etcdKey, liveRoot); ok {
		a.place, rest = placeLive, live
	}
	kind, name, _ := strings.Cut(rest, "/")
	a.key = topology.Key{Kind: topology.Kind(kind), Name: name}
	return a
}

// desiredKey is where operators write a resource.
func desiredKey(k topology.Key) string { return root + k.String() }

// liveKey is where a process writes itself.
func liveKey(k topology.Key) string { return liveRoot + k.String() }

// canLive reports whether resources of a kind may register themselves.
func canLive(k topology.Kind) bool { return k == topology.KindNode || k == topology.KindEdge }

// printable makes a stranger's key safe for logs, tables and terminals, and bounds it.
func printable(s string) string {
	const most = 300 // a DNS name and the words before it fit
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
