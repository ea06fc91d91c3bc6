package proxies_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/moim-live/moim/internal/proxies"
)

func TestClient(t *testing.T) {
	t.Parallel()
	list, err := proxies.Parse([]string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		peer, forwardedFor, forwarded string
		want                          string
	}{
		"no proxy":                  {peer: "192.0.2.1:99", forwardedFor: "1.2.3.4", want: "192.0.2.1:99"},
		"one proxy":                 {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1", want: "192.0.2.1:0"},
		"two proxies":               {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1, 10.9.9.9", want: "192.0.2.1:0"},
		"written by the client":     {peer: "10.0.0.1:99", forwardedFor: "1.1.1.1, 192.0.2.1", want: "192.0.2.1:0"},
		"no address":                {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1, unknown", want: "10.0.0.1:99"},
		"proxies only":              {peer: "10.0.0.1:99", forwardedFor: "10.0.0.2", want: "10.0.0.1:99"},
		"no header":                 {peer: "10.0.0.1:99", want: "10.0.0.1:99"},
		"Forwarded":                 {peer: "127.0.0.1:99", forwarded: `proto=https;For="[2001:db8::1]:4711", for=10.0.0.3`, want: "[2001:db8::1]:0"},
		"IPv6":                      {peer: "[fd00::1]:99", forwardedFor: "2001:db8::1", want: "[2001:db8::1]:0"},
		"both":                      {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1", forwarded: "for=192.0.2.1", want: "192.0.2.1:0"},
		"one of both by the client": {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1", forwarded: "for=1.1.1.1", want: "10.0.0.1:99"},
		"many":                      {peer: "10.0.0.1:99", forwardedFor: "192.0.2.1" + strings.Repeat(",10.0.0.2", 10_000), want: "10.0.0.1:99"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{}}
			if test.forwardedFor != "" {
				r.Header.Set("X-Forwarded-For", test.forwardedFor)
			}
			if test.forwarded != "" {
				r.Header.Set("Forwarded", test.forwarded)
			}
			if got := list.Client(r); got != test.want {
				t.Errorf("client %s, want %s", got, test.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "10.0.0.0/33", "proxy.example.com", "10.0.0"} {
		if _, err := proxies.Parse([]string{entry}); err == nil {
			t.Errorf("%q is taken", entry)
		}
	}
}

func TestSecure(t *testing.T) {
	t.Parallel()
	trusted, err := proxies.Parse([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		remote, forwarded, proto string
		want                     bool
	}{
		"no proxy":             {remote: "192.0.2.1:1", proto: "https"},
		"a proxy":              {remote: "10.0.0.1:1", proto: "https", want: true},
		"a proxy without TLS":  {remote: "10.0.0.1:1", proto: "http"},
		"no header":            {remote: "10.0.0.1:1"},
		"Forwarded":            {remote: "10.0.0.1:1", forwarded: `for=192.0.2.1;proto="HTTPS"`, want: true},
		"the two do not agree": {remote: "10.0.0.1:1", forwarded: "proto=http", proto: "https"},
		"several proxies":      {remote: "10.0.0.1:1", proto: "https, http"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("Forwarded", c.forwarded)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if got := trusted.Secure(r); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
