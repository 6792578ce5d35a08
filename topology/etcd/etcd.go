// SPDX-License-Identifier: Apache-2.0

// Package etcd keeps the topology in etcd: it watches it, changes it, registers processes in it, and runs the server.
// It is the only user of etcd's client and of its embedded server. What a resource means, and whether it is right, is
// package topology's; what follows from a change is the caller's, who gets immutable snapshots through a function.
//
//	c, err := etcd.Open(etcd.Config{Endpoints: []string{"http://127.0.0.1:2379"}, Dir: dir})
//	w := c.Watcher(etcd.WatcherConfig{Publish: func(s *topology.Snapshot) { store.Swap(s) }})
//	go w.Run(ctx)
//	res, err := c.Apply(ctx, etcd.Change{Put: resources, Author: "me"})
//
// Every Run owns the goroutines it starts and returns when they have ended. Nothing here is on the way of a request:
// without etcd, readers keep the last good topology, in memory and on disk, and only changes wait.
//
// # How a change is seen whole or not at all
//
// etcd's transactions hold 128 operations and 1.5 MiB by default, a topology more. So:
//
//   - A writer holds a lock, a key under a lease. Its fence is the key's creation revision: every transaction of the
//     writer compares it, so that a writer that was paused for longer than its lease can write nothing more.
//   - It first finishes or discards what a dead writer left, reads the whole state and checks the whole result.
//   - A change that fits is one transaction, which also compares the modification revision of each key it writes.
//   - Any other is staged in chunks below /meridian/v1/apply/ID/, each entry with the modification revision that its
//     key had (its base). One transaction then writes the commit record /meridian/v1/apply/ID/commit.
//   - Readers lay the entries of committed chunks over the stored values: an entry counts while its key still is at
//     its base. Uncommitted chunks don't count. So the effective state changes in the revision of the record.
//   - Then each chunk is folded: one transaction writes its entries to their keys and deletes the chunk. That changes
//     no effective value. A direct write with etcdctl to a key moves it off its base, and wins.
//
// A writer that dies before the record leaves nothing that counts; one that dies after it has made the change, and the
// next apply tidies up.
//
// # Bad values
//
// A value that does not validate is refused, and the last good one stays in use: from memory, else from etcd's history
// (as far as it is not compacted), else from disk; else the key is left out. Snapshot.Refused says which.
//
// # Lost leases
//
// A lease that ran out is not a death: etcd may have been frozen or down for longer than every lease. A live key that
// vanishes is kept for WatcherConfig.Hold unless its value said that it was leaving; health checks see a dead node sooner. Where
// many vanish within that time, in a region or in all, it is their registration that is lost: they are kept until they return, or checks
// have found them dead for as long (mass.go). Status and the metrics say so.
package etcd
