// SPDX-License-Identifier: Apache-2.0

package geo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// The form of an encoded table, inside gzip:
//
//	magic "MGEO", version (1 byte), time of the data (8 bytes, Unix seconds), SHA-256 of what follows
//	number of countries (uvarint), their codes (2 bytes each): ids from 1; id 0 is unknown
//	IPv4, then IPv6: number of runs (uvarint), then three columns, as likes compress better beside each other:
//	  trailing zero bits of the length of each run but the last (1 byte each)
//	  the length of each run but the last without its trailing zeros (uvarint each)
//	  the id of each run (1 byte each)
const (
	encodedMagic   = "MGEO"
	encodedVersion = 1
	encodedHeader  = len(encodedMagic) + 1 + 8 + sha256.Size
	// maxDecodedBytes bounds what a small file may unpack to. The embedded table unpacks to 1.8 MiB.
	maxDecodedBytes = 16 << 20
	// maxCountries is what one byte can name beside unknown.
	maxCountries = 255
)

// Encode returns t in the form that Decode reads. The same table gives the same bytes. It fails on a table that knows
// more of a place than its country.
func (t *Table) Encode() ([]byte, error) {
	b, err := t.encode()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid, and a Buffer takes all writes
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes(), nil
}

// encode returns what Encode compresses.
func (t *Table) encode() ([]byte, error) {
	ids, codes, err := t.countryIDs()
	if err != nil {
		return nil, err
	}
	body := binary.AppendUvarint(nil, uint64(len(codes)/2))
	body = append(body, codes...)
	body = appendRuns(body, t.v4, ids)
	body = appendRuns(body, t.v6.without(idCarrier), ids)

	sum := sha256.Sum256(body)
	head := append([]byte(encodedMagic), encodedVersion)
	head = binary.BigEndian.AppendUint64(head, uint64(t.built.Unix()))
	head = append(head, sum[:]...)
	return append(head, body...), nil
}

// countryIDs numbers the countries of t: the encoded id of each place id, and the codes in the order of encoded ids.
func (t *Table) countryIDs() (ids []byte, codes []byte, err error) {
	ids = make([]byte, len(t.places))
	for i, p := range t.places[idPlaces:] {
		want, _ := Country(p.Country)
		want.Source = p.Source
		if p != want || len(p.Country) != 2 {
			return nil, nil, fmt.Errorf("encode: place %d is not just a country: %+v", i, p)
		}
		if i >= maxCountries {
			return nil, nil, fmt.Errorf("encode: more than %d countries", maxCountries)
		}
		ids[int(idPlaces)+i] = byte(i + 1)
		codes = append(codes, p.Country...)
	}
	return ids, codes, nil
}

// without returns r with unknown for id.
func (r *runs[K]) without(id uint32) runs[K] {
	var out runs[K]
	for i, s := range r.start {
		if r.id[i] == id {
			out.add(s, idUnknown)
		} else {
			out.add(s, r.id[i])
		}
	}
	return out
}

func appendRuns[K uint32 | uint64](b []byte, r runs[K], ids []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.start)))
	for i := range r.start[1:] {
		b = append(b, byte(bits.TrailingZeros64(uint64(r.start[i+1]-r.start[i]))))
	}
	for i := range r.start[1:] {
		n := uint64(r.start[i+1] - r.start[i])
		b = binary.AppendUvarint(b, n>>bits.TrailingZeros64(n))
	}
	for _, id := range r.id {
		b = append(b, ids[id])
	}
	return b
}

// Decode reads a table that Encode wrote. source becomes the table's Source. Any damage is an error.
func Decode(source string, packed []byte) (*Table, error) {
	b, err := unpack(packed, maxDecodedBytes)
	if err != nil {
		return nil, fmt.Errorf("decode table: %w", err)
	}
	if len(b) < encodedHeader || string(b[:len(encodedMagic)]) != encodedMagic {
		return nil, fmt.Errorf("decode table: does not begin with %q", encodedMagic)
	}
	b = b[len(encodedMagic):]
	if b[0] != encodedVersion {
		return nil, fmt.Errorf("decode table: version %d, want %d", b[0], encodedVersion)
	}
	built := time.Unix(int64(binary.BigEndian.Uint64(b[1:9])), 0)
	body := b[9+sha256.Size:]
	if sha256.Sum256(body) != [sha256.Size]byte(b[9:]) {
		return nil, fmt.Errorf("decode table: checksum does not match: the file is damaged")
	}
	t, err := decodeBody(source, built, body)
	if err != nil {
		return nil, fmt.Errorf("decode table: %w", err)
	}
	return t, nil
}

// unpack decompresses what makes at most limit bytes.
func unpack(packed []byte, limit int) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("unpacks to more than %d bytes", limit)
	}
	return b, err
}
