package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxURL is the maximum length of a URL.
const maxURL = 2048

// CheckURL returns what is wrong with the URL of a receiver, or "". The address behind the
// name is checked when it is dialed, because it may change.
func CheckURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return fmt.Sprintf("is longer than %d bytes", maxURL)
	case err != nil || u.Opaque != "" || u.Hostname() == "" || !validPort(u) || strings.ContainsFunc(text, unprintable):
		return "is not a URL such as https://example.org/hook"
	case u.User != nil:
		return "must not contain a user or a password: requests are signed"
	case u.Fragment != "":
		return "must not contain a fragment"
	case u.Scheme == "https", u.Scheme == "http" && loopbackHost(u.Hostname()):
		return ""
	default:
		return "must begin with https://, or with http:// for a loopback address"
	}
}

// validPort reports whether the port of a URL is valid or missing.
func validPort(u *url.URL) bool {
	text := u.Port()
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" && !strings.HasSuffix(u.Host, ":") || err == nil && port > 0
}

func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// scope says how public an address is.
type scope int

const (
	public   scope = iota
	internal       // of a private network or of this machine
	never          // never a receiver: link-local (where clouds show credentials), multicast, unspecified
)

// special are ranges that are not public and for which netip has no method. Some IPv6
// ranges contain IPv4 addresses, to which a network may translate them.
var special = []struct {
	prefix netip.Prefix
	scope  scope
}{
	{netip.MustParsePrefix("0.0.0.0/8"), never},
	{netip.MustParsePrefix("240.0.0.0/4"), never},
	{netip.MustParsePrefix("192.0.2.0/24"), never},
	{netip.MustParsePrefix("198.51.100.0/24"), never},
	{netip.MustParsePrefix("203.0.113.0/24"), never},
	{netip.MustParsePrefix("100.64.0.0/10"), internal},
	{netip.MustParsePrefix("192.0.0.0/24"), internal},
	{netip.MustParsePrefix("192.88.99.0/24"), internal},
	{netip.MustParsePrefix("198.18.0.0/15"), internal},
	{netip.MustParsePrefix("::/96"), never},
	{netip.MustParsePrefix("100::/64"), never},
	{netip.MustParsePrefix("2001:db8::/32"), never},
	{netip.MustParsePrefix("3fff::/20"), never},
	{netip.MustParsePrefix("5f00::/16"), never},
	{netip.MustParsePrefix("64:ff9b:1::/48"), never},
	{netip.MustParsePrefix("2001::/23"), never},
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	stateless = netip.MustParsePrefix("::ffff:0:0:0/96") // IPv4 addresses of a stateless translator (SIIT)
	sixToOne  = netip.MustParsePrefix("2002::/16")

	// global are the IPv6 addresses that are routed on the Internet. Other addresses that
	// are not special belong to overlay networks or to nobody.
	global = netip.MustParsePrefix("2000::/3")
)

// scopeOf returns how public an address is.
func scopeOf(addr netip.Addr) scope {
	addr = addr.Unmap().WithZone("")
	switch bytes := addr.AsSlice(); {
	case !addr.IsValid():
		return never
	case nat64.Contains(addr), stateless.Contains(addr):
		return max(scopeOf(netip.AddrFrom4([4]byte(bytes[12:16]))), public)
	case sixToOne.Contains(addr):
		return scopeOf(netip.AddrFrom4([4]byte(bytes[2:6])))
	case addr.IsLoopback(), addr.IsPrivate():
		return internal
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return never
	}
	for _, s := range special {
		if s.prefix.Contains(addr) {
			return s.scope
		}
	}
	if addr.Is6() && !global.Contains(addr) {
		return internal
	}
	return public
}

// ErrAddress is the error of a request to a forbidden address.
var ErrAddress = errors.New("the name leads to an address to which Moim may not send")

// dialer returns a function that dials receivers. It checks the address after the name was
// resolved, so a name whose address changes cannot bypass the check.
func dialer(timeout time.Duration, allowed func(netip.Addr) bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout: timeout, KeepAlive: 30 * time.Second,
		Control: func(network, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || network != "tcp4" && network != "tcp6" || !allowed(to.Addr()) {
				return ErrAddress
			}
			return nil
		},
	}
	return d.DialContext
}
