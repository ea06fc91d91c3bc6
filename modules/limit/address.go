package limit

import "net/netip"

// sitePrefix is how much of an IPv6 address one site has (RFC 6177): a client may use
// any address in it.
const sitePrefix = 64

// AddressOf returns what a remote address, as host:port, counts as: its IP address, or
// the first 64 bits of an IPv6 address. What is none counts as itself.
func AddressOf(remote string) string {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := peer.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	site, err := ip.WithZone("").Prefix(sitePrefix)
	if err != nil {
		return ip.String()
	}
	return site.String()
}
