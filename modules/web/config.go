package web

import (
	"errors"
	"fmt"
	"net"

	"github.com/moim-live/moim/internal/origins"
	"github.com/moim-live/moim/internal/proxies"
)

// Config holds an operator's settings. The zero value is usable after WithDefaults.
type Config struct {
	Addr    string   `key:"addr" help:"listen address"`
	Origins []string `key:"origins" help:"browser origins that may connect over HTTP and sockets; empty: the same origin only; *: any; https://*.example.com: its subdomains"`

	Proxies []string `key:"proxies" help:"networks of reverse proxies, such as 10.0.0.0/8: the node reads the client's address from their Forwarded and X-Forwarded-For headers"`

	// LoopbackOrigins also allows pages on this machine, for development.
	LoopbackOrigins bool
}

// origins returns the allowed origins. Call it after Validate.
func (c Config) origins() origins.List {
	list, _ := origins.Parse(c.Origins)
	if c.LoopbackOrigins {
		list = list.WithLoopback()
	}
	return list
}

// TrustedProxies returns the proxies. Call it after Validate.
func (c Config) TrustedProxies() proxies.List {
	list, _ := proxies.Parse(c.Proxies)
	return list
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8080"
	}
	return c
}

// Validate reports all mistakes.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		errs = append(errs, fmt.Errorf("http.addr: %q is not host:port", c.Addr))
	}
	for _, origin := range c.Origins {
		if _, err := origins.Parse([]string{origin}); err != nil {
			errs = append(errs, fmt.Errorf("http.origins: %w", err))
		}
	}
	if _, err := proxies.Parse(c.Proxies); err != nil {
		errs = append(errs, fmt.Errorf("http.proxies: %w", err))
	}
	return errors.Join(errs...)
}
