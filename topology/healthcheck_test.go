// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"strings"
	"testing"
)

func TestCheckHasOnlyTheFieldsOfItsType(t *testing.T) {
	f := func(h HealthCheck, want ...string) { t.Helper(); checks(t, &Pool{Name: "p", HealthCheck: h}, want...) }
	f(HealthCheck{Type: CheckTCP, Method: "GET", Status: []string{"200"}, Body: "x", Host: "a", Headers: map[string]string{"A": "b"}, Service: "s", Era: EraModern, TLS: true},
		"health_check.method", "health_check.status", "health_check.body", "health_check.host", "health_check.headers", "health_check.service", "health_check.era", "health_check.tls")
	f(HealthCheck{Type: CheckHTTP, TLS: true, Service: "s"}, "health_check.service", "health_check.tls")
	f(HealthCheck{ServerName: "a", SkipVerify: true}, "health_check.server_name", "health_check.skip_verify")
	f(HealthCheck{Type: CheckGRPC, ServerName: "a"}, "health_check.server_name")
	f(HealthCheck{Type: CheckGRPC, TLS: true, ServerName: "a", SkipVerify: true, Service: "s", Host: "[2001:db8::1]:80"})
	f(HealthCheck{Type: CheckTLS, ServerName: "a.example.org"})
	f(HealthCheck{Type: CheckMCP, Path: "/other", Era: EraLegacy, Headers: map[string]string{"Authorization": "Bearer x"}})
	f(HealthCheck{Path: "/x", Method: "POST", Status: []string{"204", "300-399"}, Body: "ok", Jitter: 0.5})
}

func TestCheckIsHeldToItsBounds(t *testing.T) {
	f := func(h HealthCheck, want ...string) { t.Helper(); checks(t, &Pool{Name: "p", HealthCheck: h}, want...) }
	f(HealthCheck{Path: "/x", Method: "DELETE"}, "health_check.method")
	f(HealthCheck{Path: "/x", Method: "HEAD", Body: "x"}, "health_check.body")
	f(HealthCheck{Path: "/x", Body: strings.Repeat("x", 257)}, "health_check.body")
	f(HealthCheck{Path: "/x", Body: "a\nb"}, "health_check.body")
	f(HealthCheck{Path: "/x", Jitter: 0.51}, "health_check.jitter")
	f(HealthCheck{Path: "/x", Host: "a\r\nb"}, "health_check.host")
	f(HealthCheck{Type: CheckTLS, ServerName: "a:443"}, "health_check.server_name")
	f(HealthCheck{Type: CheckMCP, Era: "stone"}, "health_check.era")
	f(HealthCheck{Type: CheckGRPC, Service: strings.Repeat("x", 257)}, "health_check.service")
	for _, s := range []string{"", "ok", "99", "100-399", "399-200", "200-600", "200-", "0200", "+20", "2e2"} {
		f(HealthCheck{Path: "/x", Status: []string{s}}, "health_check.status[0]")
	}
	f(HealthCheck{Path: "/x", Status: make17()}, "health_check.status")
	f(HealthCheck{Path: "/x", Headers: map[string]string{"a b": "x"}}, `health_check.headers."a b"`)
	f(HealthCheck{Path: "/x", Headers: map[string]string{"Transfer-encoding": "chunked"}}, `health_check.headers."Transfer-encoding"`)
	f(HealthCheck{Path: "/x", Headers: map[string]string{"A": "x\r\nB: y"}}, `health_check.headers."A"`)
}

func make17() []string { return strings.Split(strings.Repeat("200,", 16)+"200", ",") }

func TestStatusOfACheckMayBeListed(t *testing.T) {
	h := HealthCheck{Path: "/x", Status: []string{"204", "300-399"}}.WithDefaults()
	for code, want := range map[int]bool{200: false, 203: false, 204: true, 205: false, 299: false, 300: true, 399: true, 400: false} {
		if got := h.PassesWith(code); got != want {
			t.Errorf("%d: got %v", code, got)
		}
	}
	if h := (HealthCheck{Path: "/x"}.WithDefaults()); !h.PassesWith(200) || !h.PassesWith(399) || h.PassesWith(400) {
		t.Errorf("got %v", h.Status)
	}
}

func TestACheckOfMCPHasDefaultsOfItsOwn(t *testing.T) {
	if h := (HealthCheck{Type: CheckMCP}.WithDefaults()); h.Path != "/mcp" || h.Era != EraModern || h.Method != "" {
		t.Errorf("got %+v", h)
	}
}
