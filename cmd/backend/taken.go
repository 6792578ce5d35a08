// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"meridian/topology"
)

// takenTimeout bounds the question to the worker that has our name. Ours.
const takenTimeout = time.Second

// checkName refuses a name that another worker is using now. A record alone says nothing: that of a killed worker stands
// until its lease runs out, and the one restarted in its place must not wait for that. So the record's address is asked.
func checkName(ctx context.Context, s *topology.Snapshot, name topology.NodeID) error {
	n := s.Node(name)
	if n == nil || !n.Live || n.Leaving || !answersAs(ctx, n.Address, name) {
		return nil
	}
	return fmt.Errorf("the name %q is taken by the worker at %s; stop that one or choose another --name", name, n.Address)
}

// answersAs reports whether a worker of that name, one that is not ending, answers at the address.
func answersAs(ctx context.Context, address string, name topology.NodeID) bool {
	ctx, cancel := context.WithTimeout(ctx, takenTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var health struct{ Name, Status string }
	err = json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&health)
	return err == nil && res.StatusCode == http.StatusOK && health.Name == string(name) && health.Status == "ok"
}
