// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"meridian/balancer"
	"meridian/proxy/exchange"
)

// loadField is the field by which a node reports its load with an answer: gRPC's A51 and Envoy's ORCA, as "TEXT cpu_utilization=0.3,
// named_metrics.queue=0.5", "JSON {…}" or "BIN …", and with "-bin" as gRPC has it, in base64, in the head or behind the body. It goes no
// further: a client would balance on it.
const (
	loadField    = "endpoint-load-metrics"
	loadFieldBin = loadField + "-bin"
)

// maxLoadBytes bounds what is read of a report.
const maxLoadBytes = 4096

// loadOf reads a report, the zero one where there is nothing that can be read.
func loadOf(value string) balancer.Reported {
	if len(value) > maxLoadBytes {
		return balancer.Reported{}
	}
	format, rest, _ := strings.Cut(value, " ")
	switch format {
	case "TEXT":
		return textLoad(rest)
	case "JSON":
		return jsonLoad(rest)
	case "BIN":
		return binaryLoad(rest)
	}
	return balancer.Reported{}
}

// loadIn returns what a head or a trailer reports, the binary form before the others.
func loadIn(h exchange.Header) balancer.Reported {
	if v := h.Get(loadFieldBin); v != "" {
		return binaryLoad(v)
	}
	if v := h.Get(loadField); v != "" {
		return loadOf(v)
	}
	return balancer.Reported{}
}

// binaryLoad reads base64 with or without padding: what gRPC sends has none, and both must be taken.
func binaryLoad(s string) balancer.Reported {
	if len(s) > maxLoadBytes {
		return balancer.Reported{}
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return balancer.Reported{}
	}
	r, _ := balancer.ParseORCA(b) // nothing for what is none
	return r
}

func textLoad(s string) (r balancer.Reported) {
	for pair := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		v, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil || !(v >= 0) || math.IsInf(v, 0) {
			continue
		}
		switch {
		case name == "application_utilization":
			r.Application = v
		case name == "cpu_utilization":
			r.CPU = v
		case strings.HasPrefix(name, "named_metrics.") || strings.HasPrefix(name, "utilization."):
			r.Named = max(r.Named, v)
		}
	}
	return r
}

func jsonLoad(s string) (r balancer.Reported) {
	var in struct {
		Application float64            `json:"application_utilization"`
		CPU         float64            `json:"cpu_utilization"`
		Named       map[string]float64 `json:"named_metrics"`
		Utilization map[string]float64 `json:"utilization"`
	}
	if json.Unmarshal([]byte(s), &in) != nil {
		return r
	}
	r = balancer.Reported{Application: max(0, in.Application), CPU: max(0, in.CPU)}
	for _, m := range []map[string]float64{in.Named, in.Utilization} {
		for _, v := range m {
			r.Named = max(r.Named, v)
		}
	}
	return r
}
