package origins_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/origins"
)

func request(host string, origin ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://"+host+"/", nil)
	if origin[0] != "" {
		r.Header["Origin"] = origin
	}
	return r
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list   string
		origin string
		want   bool
	}{
		"no origin":                {"", "", true},
		"the same":                 {"", "https://moim.example", true},
		"the same, another case":   {"", "HTTP://MOIM.example", true},
		"the same, default port":   {"", "https://moim.example:443", true},
		"the same, another port":   {"", "https://moim.example:8443", false},
		"another":                  {"", "https://other.example", false},
		"null":                     {"", "null", false},
		"null, listed others":      {"https://a.example", "null", false},
		"any":                      {"*", "null", true},
		"listed":                   {"https://b.example https://a.example", "https://a.example", true},
		"listed, default port":     {"https://A.example:443/", "https://a.example", true},
		"listed, another scheme":   {"https://a.example", "http://a.example", false},
		"listed, so not the same":  {"https://a.example", "https://moim.example", false},
		"listed, international":    {"https://bücher.example", "https://xn--bcher-kva.example", true},
		"a subdomain":              {"https://*.a.example", "https://x.a.example", true},
		"a deeper subdomain":       {"https://*.a.example", "https://x.y.a.example", true},
		"the domain itself":        {"https://*.a.example", "https://a.example", false},
		"a name that ends alike":   {"https://*.a.example", "https://xa.example", false},
		"a subdomain, other port":  {"https://*.a.example", "https://x.a.example:8443", false},
		"a subdomain with port":    {"https://*.a.example:8443", "https://x.a.example:8443", true},
		"a subdomain, http":        {"https://*.a.example", "http://x.a.example", false},
		"loopback without the way": {"", "http://localhost:3000", false},
		"with a path":              {"", "https://moim.example/x", false},
		"with a user":              {"", "https://x@moim.example", false},
		"IPv6":                     {"http://[::1]:80", "http://[::1]", true},
	} {
		list, err := origins.Parse(strings.Fields(c.list))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if list.Allows(request("moim.example", c.origin)) != c.want {
			t.Errorf("%s: %q with %q is allowed: %v", name, c.origin, c.list, !c.want)
		}
	}
}

// TestSameHost checks that the comparison of hosts ignores default ports and upper case, and
// works for international names.
func TestSameHost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host, origin string
		want         bool
	}{
		{"chat.example:443", "https://chat.example", true},
		{"chat.example:80", "http://chat.example", true},
		{"Chat.Example", "https://chat.example", true},
		{"chat.example", "https://chat.example:443", true},
		{"모임.example", "https://xn--v52b68u.example", true},
		{"chat.example:8443", "https://chat.example", false},
	} {
		r := request("x", c.origin)
		r.Host = c.host
		if (origins.List{}).Allows(r) != c.want {
			t.Errorf("%s at %s is allowed: %v", c.origin, c.host, !c.want)
		}
	}
	list, err := origins.Parse([]string{"https://모임.example"})
	if err != nil || !list.Allows(request("x", "https://xn--v52b68u.example")) {
		t.Errorf("a listed international name is refused: %v", err)
	}
}

func TestTwoOriginsAreNone(t *testing.T) {
	t.Parallel()
	var list origins.List
	if list.Allows(request("a.example", "https://a.example", "https://b.example")) {
		t.Error("a request with two origins is allowed")
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	list := origins.List{}.WithLoopback()
	for origin, want := range map[string]bool{
		"http://localhost:3000":         true,
		"https://localhost":             true,
		"http://app.localhost":          true,
		"http://127.0.0.1:5173":         true,
		"http://[::1]:5173":             true,
		"http://moim.example":           true, // the same origin
		"http://localhost.evil.example": false,
		"http://127.0.0.1.evil.example": false,
		"http://192.168.0.1":            false,
	} {
		if list.Allows(request("moim.example", origin)) != want {
			t.Errorf("%s is allowed: %v", origin, !want)
		}
	}
}

func TestParseNamesWhatCannotMatch(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "app.example.com", "https://", "https://a.example/path", "https://a.example?x", "https://*", "https://a.*.example",
		"https://*.com:x", "https://*.127.0.0.1", "https://*.localhost", "null", "https://u@a.example", "https://a b.example",
	} {
		if _, err := origins.Parse([]string{bad, "https://good.example"}); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAllowCORS(t *testing.T) {
	t.Parallel()
	list, err := origins.Parse([]string{"https://a.example"})
	if err != nil {
		t.Fatal(err)
	}
	h := make(http.Header)
	if !list.AllowCORS(h, request("moim.example", "https://a.example")) ||
		h.Get("Access-Control-Allow-Origin") != "https://a.example" || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
		t.Errorf("allowed: %v", h)
	}
	h = make(http.Header)
	if list.AllowCORS(h, request("moim.example", "https://b.example")) || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
		t.Errorf("refused: %v", h)
	}
	list, err = origins.Parse([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	h = make(http.Header)
	if !list.AllowCORS(h, request("moim.example", "https://b.example")) || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("any: %v", h)
	}
}
