// Package client calls a Moim server from a back end in Go. A [Client], made with [New],
// has a method for each call of the HTTP API. [Hook] receives webhooks.
//
// Calls are repeated if the connection fails, the server is overloaded, or a limit asks to
// wait. Each POST has an idempotency key, so a repeat does not make a change twice.
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
	defaultTimeout  = 15 * time.Second // for one attempt; the server answers within 5 s
)

// TokenSource returns the token for a call. It is called before each attempt, possibly
// concurrently. See [Secret] and [Token].
type TokenSource func(ctx context.Context) (string, error)

// Config has the address of a server and the tokens for it.
type Config struct {
	URL    string      // of a node or a load balancer, as http://127.0.0.1:8080 or https://example.org/moim
	Tokens TokenSource // tokens of a back end, for most calls

	// HTTP makes the requests. The default is a client with a timeout of 15 seconds.
	// Redirects are not followed unless CheckRedirect is set, because the token would be
	// sent to other ports and subdomains, and a POST would become a GET.
	HTTP *http.Client
	// Attempts is the maximum number of attempts for a call. The default is 5; with 1,
	// nothing is repeated.
	Attempts int
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base     string // with /v1, without a slash at the end
	tokens   TokenSource
	http     *http.Client
	attempts int
	strict   bool // refuse fields that are not in the types
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
