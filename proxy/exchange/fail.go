// SPDX-License-Identifier: Apache-2.0

package exchange

// Failer is a Reply that can end an answer which is not whole by trailers that say so, as gRPC does: those of HTTP/2 and
// HTTP/3. HTTP/1's does not implement it: whoever is between here and the client may drop trailers there, and what is left
// would look whole.
type Failer interface {
	// Fail ends an answer that was started and whose length was not told. What was written and is not on its way is dropped;
	// it does not wait for the client to take that, and works after Interrupt. After an error the answer must be aborted.
	Fail(trailer Header) error
}
