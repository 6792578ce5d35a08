// SPDX-License-Identifier: Apache-2.0

// Command flatten makes geo's embedded table out of an MMDB file that knows countries:
//
//	go run ./geo/mmdb/flatten -in geo-whois-asn-country.mmdb -sha256 HEX -out geo/data/country.bin.gz
//
// The same file in gives the same file out. NOTICE says which file the one in the repository comes from. It leaves the
// reading to geo/mmdb and the form to geo.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"meridian/geo"
	"meridian/geo/mmdb"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "flatten:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("flatten", flag.ContinueOnError)
	in := flags.String("in", "", "the MMDB `file` to read")
	out := flags.String("out", "", "the `file` to write")
	sum := flags.String("sha256", "", "refuse another input than that with this `checksum`, in hex; unchecked if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *in == "" || *out == "" || flags.NArg() > 0 {
		return errors.New("want -in FILE and -out FILE, and nothing else")
	}
	b, err := os.ReadFile(*in)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(b); *sum != "" && !strings.EqualFold(*sum, hex.EncodeToString(got[:])) {
		return fmt.Errorf("%s has the sha256 %x, want %s", *in, got, *sum)
	}
	db, err := mmdb.OpenBytes(*in, b)
	if err != nil {
		return err
	}
	packed, err := db.Table().Encode()
	if err != nil {
		return err
	}
	if _, err := geo.Decode(*out, packed); err != nil {
		return fmt.Errorf("read back what was encoded: %w", err)
	}
	if err := os.WriteFile(*out, packed, 0o644); err != nil {
		return err
	}
	v4, v6 := db.Table().Len()
	_, err = fmt.Fprintf(stdout, "%s: data of %s, %d runs of IPv4, %d of IPv6, %d bytes\n",
		*out, db.Built().Format("2006-01-02"), v4, v6, len(packed))
	return err
}
