package web

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Config is what an operator sets. The zero value with [Config.WithDefaults]
// is usable.
type Config struct {
	Addr    string   `key:"addr" help:"listen address"`
	Origins []string `key:"origins" help:"allowed browser origins, for HTTP and for sockets; empty: same origin; *: any"`
}

// WithDefaults returns a copy with defaults in place of zero values.
func (c Config) WithDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8080"
	}
	return c
}

// Validate reports all mistakes at once.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		errs = append(errs, fmt.Errorf("http.addr: %q is not host:port", c.Addr))
	}
	for _, origin := range c.Origins {
		if origin != "*" && normalOrigin(origin) == "" {
			errs = append(errs, fmt.Errorf("http.origins: %q is not an origin like https://app.example.com", origin))
		}
	}
	return errors.Join(errs...)
}

// normalOrigin returns an origin as browsers send it, or nothing when it is
// none.
func normalOrigin(origin string) string {
	u, err := url.Parse(strings.TrimSuffix(origin, "/"))
	if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}
