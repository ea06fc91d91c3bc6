package limit

import "net/netip"

// sitePrefix is the number of bits of an IPv6 address that belong to one site (RFC 6177). A
// client may use any address of its site.
const sitePrefix = 64

// AddressOf returns the key under which a remote address (host:port) is counted: its IP
// address, or the first 64 bits of an IPv6 address. A text that is not an address is its
// own key.
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
