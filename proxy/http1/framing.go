// SPDX-License-Identifier: Apache-2.0

package http1

import "meridian/proxy/exchange"

// framing reads the fields that say where the body ends and removes them from the header: one Content-Length of digits
// that fits an int64, or one Transfer-Encoding that is "chunked", in HTTP/1.1, and never both. RFC 9112, section 6 allows
// a recipient more; every repair of these two has been a way to smuggle a request past a proxy.
func framing(h *exchange.Header, http11 bool) (int64, *Refusal) {
	length, lengths, codings := exchange.LengthNone, 0, 0
	kept := (*h)[:0]
	for _, f := range *h {
		switch {
		case isName(f.Name, "Content-Length"):
			n, ok := parseLength(f.Value)
			if !ok {
				return 0, refuse(400, "Content-Length %q is not a number of bytes", clip(f.Value))
			}
			length = n
			lengths++
		case isName(f.Name, "Transfer-Encoding"):
			if !isName(f.Value, "chunked") || !http11 {
				return 0, refuse(400, "Transfer-Encoding %q is not taken", clip(f.Value))
			}
			length = exchange.LengthUnknown
			codings++
		default:
			kept = append(kept, f)
		}
	}
	if lengths+codings > 1 {
		return 0, refuse(400, "%d Content-Length and %d Transfer-Encoding fields", lengths, codings)
	}
	*h = kept
	return length, nil
}
