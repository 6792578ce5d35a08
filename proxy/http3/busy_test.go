// SPDX-License-Identifier: Apache-2.0

package http3

import (
	"errors"
	"sync"
	"testing"

	xhttp3 "github.com/quic-go/quic-go/http3"
)

// TestBusyClientsLoseNothingToTheLimitOfRequests has requests on their way when GOAWAY is said: they are rejected so that the
// client asks elsewhere. What fails nevertheless is quic-go's client, which may close a connection that it begins a request on.
func TestBusyClientsLoseNothingToTheLimitOfRequests(t *testing.T) {
	s, addr := start(t, Config{MaxRequests: 50, Handler: answer(200, "ok")})
	c := client(t, nil)
	const clients, each = 16, 25
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				resp, err := c.Get("https://" + addr + "/")
				var closed *xhttp3.Error
				switch {
				case errors.As(err, &closed) && !closed.Remote:
				case err != nil:
					t.Error(err)
				default:
					resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	if got := s.Stats().Requests; got < clients*each*9/10 {
		t.Errorf("%d requests were served", got)
	}
}
