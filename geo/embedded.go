// SPDX-License-Identifier: Apache-2.0

package geo

import (
	_ "embed"
	"fmt"
	"sync"
)

//go:generate go run ./mmdb/flatten -in geo-whois-asn-country.mmdb -out data/country.bin.gz

//go:embed data/country.bin.gz
var embeddedTable []byte

var embedded = sync.OnceValue(func() *Table {
	t, err := Decode("embedded", embeddedTable)
	if err != nil {
		panic(fmt.Sprintf("geo: embedded table: %v", err)) // a broken build: the tests decode the same bytes
	}
	return t
})

// Embedded returns the table that is part of the program: countries, see the package comment and NOTICE. It is decoded
// at the first call, which takes some 20 ms, and keeps about 6 MiB. The table is read-only and safe for concurrent use.
func Embedded() *Table { return embedded() }
