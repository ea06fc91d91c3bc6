package webhook

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestScopes(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]scope{
		"93.184.216.34": public, "2606:2800:220:1::1": public, "::ffff:93.184.216.34": public, "64:ff9b::5db8:d822": public,
		"127.0.0.1": internal, "127.9.9.9": internal, "::1": internal, "10.0.0.1": internal, "172.16.0.1": internal, "172.31.255.255": internal,
		"192.168.1.1": internal, "100.64.0.1": internal, "100.127.255.254": internal, "198.18.0.1": internal, "192.0.0.1": internal,
		"fd00::1": internal, "fc00::1": internal, "fec0::1": internal, "::ffff:10.0.0.1": internal, "::ffff:127.0.0.1": internal,
		"64:ff9b::a00:1": internal, "2002:a00:1::1": internal, "2002:7f00:1::": internal,
		"::ffff:0:5db8:d822": public, "::ffff:0:7f00:1": internal, "::ffff:0:a9fe:a9fe": never, "200::1": internal, "4000::1": internal, "1::1": internal,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "2002:a9fe:a9fe::": never, "fe80::1": never, "fe80::1%eth0": never,
		"0.0.0.0": never, "::": never, "0.1.2.3": never, "224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "240.0.0.1": never,
		"::127.0.0.1": never, "64:ff9b:1::1": never, "2001::1": never, "2001:db8::1": never, "100::1": never, "192.0.2.1": never,
	} {
		if got := scopeOf(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %d, want %d", addr, got, want)
		}
	}
	if scopeOf(netip.Addr{}) != never {
		t.Error("no address is one")
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"https://example.org/hook?key=1": true, "https://10.0.0.1:8443/": true, "http://localhost:9000/hook": true, "http://127.0.0.1/": true, "http://[::1]:80/": true,
		"http://example.org/": false, "http://10.0.0.1/": false, "http://localhost.example.org/": false, "ftp://example.org/": false, "https:example.org": false,
		"https:///hook": false, "https://user:secret@example.org/": false, "https://example.org/#x": false, "//example.org": false, "": false,
		"https://example.org/" + strings.Repeat("x", maxURL): false, "http://127.0.0.1.nip.io/": false, "file:///etc/passwd": false,
		"https://example.org:8443/": true, "https://example.org/영수증": true, "https://example.org:0/": false, "https://example.org:65536/": false, "https://example.org:/": false,
		"https://example.org/\u009b31m": false, "https://example.org/\u202egpj": false, "https://example.org/\xff": false,
	} {
		if problem := CheckURL(url); (problem == "") != good {
			t.Errorf("%.40s: %q", url, problem)
		}
	}
}

// TestNamesAreCheckedWhenTheyAreDialed sends to names and addresses of this machine. They must be
// refused.
func TestNamesAreCheckedWhenTheyAreDialed(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 10)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Host })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(secure.URL, "https://"))
	send := func(private bool, url string) error {
		c := NewClient(Options{Private: private, Timeout: time.Minute})
		defer c.Close()
		_, err := c.Post(t.Context(), Request{URL: url})
		return err
	}
	for _, url := range []string{plain.URL, secure.URL, "https://localhost:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://0.0.0.0:" + port, "http://169.254.169.254/latest/"} {
		if err := send(false, url); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"https://0.0.0.0:" + port, "https://169.254.169.254/latest/"} {
		if err := send(true, url); !errors.Is(err, ErrAddress) {
			t.Errorf("to private addresses, %s: %v", url, err)
		}
	}
	if len(reached) > 0 {
		t.Fatalf("%s was reached", <-reached)
	}
	if err := send(true, plain.URL); err != nil || len(reached) != 1 {
		t.Errorf("to private addresses: %v", err)
	}
	if err := send(true, secure.URL); err == nil || errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("to a private address with an unknown certificate: %v", err)
	}
}
