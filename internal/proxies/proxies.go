// Package proxies finds the address of a client behind reverse proxies from the headers
// Forwarded (RFC 7239) and X-Forwarded-For.
package proxies

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops is the maximum number of addresses of a header that are read, starting with the
// last.
const maxHops = 16

// List is a set of proxies that are trusted. It is safe for concurrent use.
type List []netip.Prefix

// Parse returns the list of entries: CIDRs such as 10.0.0.0/8, or single addresses.
func Parse(entries []string) (List, error) {
	var l List
	for _, entry := range entries {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			l = append(l, prefix.Masked())
			continue
		}
		ip, err := netip.ParseAddr(entry)
		if err != nil {
			return nil, errors.New("must be networks such as 10.0.0.0/8, or addresses")
		}
		l = append(l, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return l, nil
}

// Trusts reports whether an address, as host:port, is one of the proxies.
func (l List) Trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && l.contains(peer.Addr())
}

func (l List) contains(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, prefix := range l {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// Client returns the address of a request's client as host:port. It is the last address in
// the headers that is not a proxy. The port is 0 if the header has none. If the request
// does not come from a proxy, it is the remote address. A proxy that sets only one of the
// headers lets a client set the other. So if both are present and differ, both are ignored.
func (l List) Client(r *http.Request) string {
	if !l.Trusts(r.RemoteAddr) {
		return r.RemoteAddr
	}
	forwarded, hasForwarded := l.last(parameters("for", r.Header.Values("Forwarded")))
	listed, hasListed := l.last(strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ","))
	switch {
	case hasForwarded && hasListed && forwarded != listed:
		return r.RemoteAddr
	case hasForwarded:
		return net.JoinHostPort(forwarded.String(), "0")
	case hasListed:
		return net.JoinHostPort(listed.String(), "0")
	default:
		return r.RemoteAddr
	}
}

// last returns the last address that is not a proxy. It returns false if there is none, or
// if a later value is not an address.
func (l List) last(hops []string) (netip.Addr, bool) {
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		ip, ok := address(strings.TrimSpace(hops[i]))
		if !ok {
			return netip.Addr{}, false
		}
		if !l.contains(ip) {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// parameters returns the values of a parameter in the elements of Forwarded. Commas and
// semicolons cannot be part of an address.
func parameters(wanted string, lines []string) (values []string) {
	for element := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, wanted) {
				values = append(values, strings.Trim(value, `"`))
			}
		}
	}
	return values
}

// address parses 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80.
func address(text string) (netip.Addr, bool) {
	if peer, err := netip.ParseAddrPort(text); err == nil {
		return peer.Addr().Unmap().WithZone(""), true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return ip.Unmap().WithZone(""), err == nil
}

// Secure reports whether the client of a request uses TLS, according to the connection, or
// to a proxy in X-Forwarded-Proto or Forwarded. If both headers are present, both must say
// so.
func (l List) Secure(r *http.Request) bool {
	if r.TLS != nil || !l.Trusts(r.RemoteAddr) {
		return r.TLS != nil
	}
	says := append(parameters("proto", r.Header.Values("Forwarded")), strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")...)
	secure := false
	for _, proto := range says {
		switch strings.ToLower(strings.TrimSpace(proto)) {
		case "":
		case "https":
			secure = true
		default:
			return false
		}
	}
	return secure
}
