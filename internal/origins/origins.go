// Package origins decides which browser origins may use a server. Browsers send the header
// Origin with the requests of scripts, and scripts cannot change it. Other clients send no
// such header.
package origins

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/net/idna"
)

// Any is the entry of a list that allows every origin.
const Any = "*"

// List is a set of allowed origins. An empty list allows the same origin only.
// It is safe for concurrent use.
type List struct {
	any      bool
	loopback bool
	exact    []string
	domains  []domain // of entries with *.
}

// Current is a list that can be replaced while requests are being checked. The zero value
// is an empty list.
type Current struct{ list atomic.Pointer[List] }

// Load returns the list.
func (c *Current) Load() List {
	if l := c.list.Load(); l != nil {
		return *l
	}
	return List{}
}

// Store replaces the list.
func (c *Current) Store(l List) { c.list.Store(&l) }

// domain allows the subdomains of a name.
type domain struct{ scheme, suffix string } // suffix is ".example.org" or ".example.org:8443"

// Parse returns the list of entries: origins like https://app.example.com, all
// subdomains as https://*.example.com, or "*". It ignores case, default ports and
// a final slash, and encodes international names as browsers do. The error names
// every entry that no origin can match.
func Parse(entries []string) (List, error) {
	var l List
	var errs []error
	for _, entry := range entries {
		errs = append(errs, l.add(entry))
	}
	return l, errors.Join(errs...)
}

func (l *List) add(entry string) error {
	if entry == Any {
		l.any = true
		return nil
	}
	bad := fmt.Errorf("%q is not an origin like https://app.example.com or https://*.example.com", entry)
	scheme, host, found := strings.Cut(entry, "://")
	if !found {
		return bad
	}
	host, wildcard := strings.CutPrefix(host, "*.")
	normal := normalize(scheme + "://" + strings.TrimSuffix(host, "/"))
	if normal == "" || strings.Contains(host, "*") {
		return bad
	}
	if !wildcard {
		l.exact = append(l.exact, normal)
		return nil
	}
	scheme, host, _ = strings.Cut(normal, "://")
	if net.ParseIP(hostname(host)) != nil || !strings.Contains(host, ".") {
		return bad
	}
	l.domains = append(l.domains, domain{scheme, "." + host})
	return nil
}

// WithLoopback returns a copy that also allows the origins of pages on this
// machine: localhost, 127.0.0.0/8 and [::1], with any scheme and port.
func (l List) WithLoopback() List {
	l.loopback = true
	return l
}

// SameOnly reports whether the list allows the same origin only.
func (l List) SameOnly() bool { return !l.any && !l.loopback && len(l.exact)+len(l.domains) == 0 }

// Allows reports whether the list allows the origin of a request. A request without an
// origin is allowed, because it does not come from a browser. Only the host is compared for
// the same origin, because a proxy may terminate TLS.
func (l List) Allows(r *http.Request) bool {
	headers := r.Header.Values("Origin")
	switch {
	case len(headers) == 0 || l.any:
		return true
	case len(headers) > 1:
		return false
	}
	origin := normalize(headers[0])
	if origin == "" {
		return false
	}
	_, host, _ := strings.Cut(origin, "://")
	sameOrigin := func(scheme string) bool { return origin == normalize(scheme+"://"+r.Host) }
	return slices.Contains(l.exact, origin) ||
		l.loopback && isLoopback(hostname(host)) ||
		slices.ContainsFunc(l.domains, func(d domain) bool { return d.matches(origin) }) ||
		len(l.exact)+len(l.domains) == 0 && (sameOrigin("http") || sameOrigin("https"))
}

func (d domain) matches(origin string) bool {
	scheme, host, _ := strings.Cut(origin, "://")
	return scheme == d.scheme && strings.HasSuffix(host, d.suffix)
}

// AllowCORS sets the headers with which a browser's script may read the answer to an
// allowed request from another origin. Scripts of listed origins may send credentials; a
// list with "*" allows none. It reports whether the request is allowed.
func (l List) AllowCORS(h http.Header, r *http.Request) bool {
	h.Add("Vary", "Origin")
	if !l.Allows(r) {
		return false
	}
	switch origin := r.Header.Get("Origin"); {
	case origin == "":
	case l.any:
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// normalize returns an origin as browsers send it (RFC 6454, section 6.2), or "" if it is
// not an origin.
func normalize(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return ""
	}
	name := strings.ToLower(u.Hostname())
	if net.ParseIP(name) == nil {
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return ""
		}
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port != "" && port != defaultPorts[scheme] {
		name += ":" + port
	}
	return scheme + "://" + name
}

var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

// hostname returns a host without its port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// LoopbackHost reports whether a Host header is a name of this machine. Any other name may
// belong to a foreign site that resolves to this machine's address, in order to read data
// here.
func LoopbackHost(host string) bool { return isLoopback(strings.ToLower(hostname(host))) }

func isLoopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}
