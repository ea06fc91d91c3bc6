// Package client calls a Moim server from a back end written in Go. It has a method for each
// call of the HTTP API. It also receives webhooks: see [Hook].
//
// Calls are repeated when it helps: if the connection fails, the server is overloaded, or a
// limit asks to wait. Each POST has an idempotency key, so that a repeat changes nothing
// twice.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults of a [Config].
const (
	defaultAttempts = 5
	defaultTimeout  = 15 * time.Second // of one attempt. The server answers within 5 s
)

// TokenSource returns the token for a call. It is called before each attempt, from several
// goroutines. See [Secret] and [Token].
type TokenSource func(ctx context.Context) (string, error)

// Config says where a server is and who calls it.
type Config struct {
	URL    string      // of a node or a load balancer, as http://127.0.0.1:8080 or https://example.org/moim
	Tokens TokenSource // of a back end, for most calls

	// HTTP makes the requests. The default is a client with a timeout of 15 seconds. Redirects
	// are not followed, unless CheckRedirect is set: the token would go along to other ports
	// and subdomains, and a POST would become a GET.
	HTTP *http.Client
	// Attempts is how often a call is tried; the default is 5, and 1 repeats nothing.
	Attempts int
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base     string // without / at the end, with /v1
	tokens   TokenSource
	http     *http.Client
	attempts int
	strict   bool // refuse fields that the types do not have
}

// New returns a client. It makes no request.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the URL of the server must be like https://example.org, not %q", cfg.URL)
	}
	if cfg.Tokens == nil {
		return nil, errors.New("a source of tokens is missing: see client.Secret and client.Token")
	}
	c := &Client{base: strings.TrimRight(cfg.URL, "/") + "/v1", tokens: cfg.Tokens, http: &http.Client{Timeout: defaultTimeout}, attempts: cfg.Attempts}
	if cfg.HTTP != nil {
		own := *cfg.HTTP
		c.http = &own
	}
	if c.http.CheckRedirect == nil {
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if c.attempts <= 0 {
		c.attempts = defaultAttempts
	}
	return c, nil
}

// As returns a client that calls the same server with other tokens, such as a user's.
func (c *Client) As(tokens TokenSource) *Client {
	other := *c
	other.tokens = tokens
	return &other
}
