// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// The profiles are below the path where `go tool pprof` looks for them.
const pprofPath = "/debug/pprof/"

// defaultSeconds and mostSeconds are how long one look at the processors takes.
const (
	defaultSeconds = 30
	mostSeconds    = 300
)

// onlyHere lets programs of this machine through: a profile costs time, and says what is in memory.
func onlyHere(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !fromThisMachine(r) {
			refuse(w, http.StatusForbidden, "only this machine may profile the edge; log in there")
			return
		}
		next(w, r)
	}
}

// cpuProfile serves GET /debug/pprof/profile?seconds=N: where the edge spends its time from now on. One at a time.
func cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds := defaultSeconds
	if s := r.FormValue("seconds"); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil || seconds < 1 || seconds > mostSeconds {
			refuse(w, http.StatusBadRequest, "seconds=%q is not a number of 1 to %d", s, mostSeconds)
			return
		}
	}
	d := time.Duration(seconds) * time.Second
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + 30*time.Second)) // the server's own is shorter
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		refuse(w, http.StatusConflict, "a profile is being made already; try again after it: %v", err)
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// profile serves the other profiles of runtime/pprof, as they are now: heap, goroutine, allocs, …; with debug=1 as text.
func profile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		refuse(w, http.StatusNotFound, "there is no profile %q; see profile, heap, goroutine, allocs, block, mutex, threadcreate", r.PathValue("name"))
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug")) // as pprof's own: what is no number is binary
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	p.WriteTo(w, debug) // an error is the reader's connection failing: nobody is left to tell
}
