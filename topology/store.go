// SPDX-License-Identifier: Apache-2.0

package topology

import "sync/atomic"

// Store publishes the current snapshot. Readers load it once and use it to the end of their request or query. The zero
// value holds no snapshot. Safe for concurrent use.
type Store struct{ current atomic.Pointer[Snapshot] }

// Load returns the current snapshot, nil before the first Swap. A nil snapshot may be read: it is empty.
func (s *Store) Load() *Snapshot { return s.current.Load() }

// Swap publishes next and returns the one before.
func (s *Store) Swap(next *Snapshot) *Snapshot { return s.current.Swap(next) }
